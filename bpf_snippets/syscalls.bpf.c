/* Every system call of the followed tasks: arguments at entry, one record at exit.
 * Raw tracepoints sys_enter and sys_exit, ring buffer: Linux 5.8.
 * Costs an untraced task two array lookups; see benchmarks/ for the rest.
 */
#include "aio.h"
#include "argv.h"
#include "dns.h"
#include "restarts.h"
#include "waits.h"
#include "witness.h"

#define UIO_MAXIOV 1024 /* the kernel looks at no more messages of one sendmmsg */
#define MMSGHDR_BYTES 64

/* Reads a path; what can't be read now stays marked and is tried again at exit. Its first byte, or 0. */
INLINE u8 take_path(struct task *task, u64 arg, u8 flags)
{
	struct blob *blob = scratch_blob(task->event.call, EVENT_CALL, BLOB_PATH, arg);
	if (!blob)
		return 0;
	u8 bit = 1 << arg;
	long n = bpf_probe_read_user_str(blob->data, PATH_BYTES + 1, (void *)ARG(task->event.args, arg));
	if (n <= 0) {
		task->event.unread |= bit;
		return 0;
	}
	task->event.unread &= ~bit;
	blob->flags = flags | (n > PATH_BYTES ? BLOB_CUT : 0);
	u64 size = n - 1;
	blob->size = size;
	BARRIER(size);
	if (size > PATH_BYTES || write_blob(task->session, blob, BLOB_HEADER_BYTES + size))
		task->event.lost |= bit;
	return blob->data[0];
}

/* Copies what an argument points to. */
INLINE void take_bytes(struct task *task, u64 arg, u8 kind, u64 address, u64 size)
{
	struct blob *blob = scratch_blob(task->event.call, EVENT_CALL, kind, arg);
	if (!blob || !address || !size)
		return;
	u8 bit = 1 << arg;
	bool cut = kind == BLOB_ADDRESS && size > room_of(&task->event); /* behind that is what stood there before */
	if (size > ADDRESS_BYTES)                                        /* the kernel refuses more */
		size = ADDRESS_BYTES;
	BARRIER(size);
	if (cut || size > ADDRESS_BYTES || bpf_probe_read_user(blob->data, size, (void *)address)) {
		task->event.unread |= bit;
		return;
	}
	task->event.unread &= ~bit;
	blob->size = size;
	if (kind == BLOB_ADDRESS)
		remember_address(&task->event, blob);
	if (emit_blob(blob))
		task->event.lost |= bit;
}

struct named {
	void *name;
	s32 namelen;
}; /* the beginning of a struct user_msghdr */

/* Where the address of a message is, and how long. False if that can't be read. */
INLINE bool find_address(struct task *task, u64 arg, u64 message_address, u64 *address, u64 *size)
{
	struct named message;
	if (bpf_probe_read_user(&message, sizeof(message), (void *)message_address)) {
		task->event.unread |= 1 << arg;
		return false;
	}
	task->event.unread &= ~(1 << arg);
	*address = (u64)message.name;
	*size = (u32)message.namelen;
	return true;
}

INLINE void take_message(struct task *task, u64 arg, u64 message_address)
{
	u64 address, size;
	if (find_address(task, arg, message_address, &address, &size))
		take_bytes(task, arg, BLOB_ADDRESS, address, size);
}

INLINE void narrow_room(struct task *task, u64 address)
{
	struct witness *witness = witness_of(&task->event);
	struct named message = {};
	bpf_probe_read_user(&message, sizeof(message), (void *)address);
	if (witness && message.name && (u32)message.namelen < witness->room)
		witness->room = (u32)message.namelen;
}

struct messages {
	u64 address;
	u64 arg;
	bool coming; /* they have room for an address */
};
STATE_MAP(messages);

static long take_each_message(u64 index, struct messages *at)
{
	struct task *task = current_task();
	if (!task)
		return 1;
	if (at->coming) {
		narrow_room(task, at->address + index * MMSGHDR_BYTES);
		return 0;
	}
	take_message(task, at->arg & 3, at->address + index * MMSGHDR_BYTES);
	return task->event.unread >> (at->arg & 3) & 1;
}
STEP(take_each_message, messages);

INLINE void take_messages(struct task *task, u64 arg, u32 count)
{
	struct messages *at = LOOP_STATE(messages);
	if (!at)
		return;
	at->address = ARG(task->event.args, arg);
	at->arg = arg;
	at->coming = false;
	bpf_loop(count < UIO_MAXIOV ? count : UIO_MAXIOV, take_each_message, at, 0);
}

/* Remembers how much room a call has for the address that it waits for; of several messages, the least. */
INLINE void remember_room(struct task *task, struct spec *spec)
{
	struct witness *witness = witness_of(&task->event);
	struct messages *at = LOOP_STATE(messages);
	u64 *args = task->event.args;
	u32 capture = 0, size = 0;
	u64 arg = 0;
	if (!witness || !at)
		return;
	/* Nothing is called in the loop: before Linux 6.2 the verifier would take that for a jump back. */
	for (u64 each = 0; each < CALL_ARGS - 1; each++) {
		u8 found = spec->capture[each];
		if (found == CAPTURE_ADDRESS_OUT || found == CAPTURE_MESSAGE_OUT || found == CAPTURE_MESSAGES_OUT) {
			capture = found;
			arg = each;
		}
	}
	witness->room_call = task->event.call;
	witness->room = ~0ull;
	if (capture == CAPTURE_ADDRESS_OUT) {
		bpf_probe_read_user(&size, sizeof(size), (void *)ARG(args, arg + 1));
		witness->room = size;
	} else if (capture) {
		u32 count = capture == CAPTURE_MESSAGE_OUT ? 1 : ARG(args, arg + 1);
		at->address = ARG(args, arg);
		at->coming = true;
		bpf_loop(count < UIO_MAXIOV ? count : UIO_MAXIOV, take_each_message, at, 0);
	}
}

/* Records what a descriptor stands for. */
INLINE void take_fd(struct task *task, u64 arg, bool first)
{
	struct file *file = file_of(ARG(task->event.args, arg));
	if (!file) {
		/* The call fails with EBADF; or another thread opens the descriptor before the kernel looks. */
		if (first && (s32)ARG(task->event.args, arg) >= 0)
			task->event.unread |= 1 << arg;
		return;
	}
	u64 identity = identify((u64)file);
	if (!identity)
		task->event.lost |= 1 << arg;
	else if (first)
		task->event.file = identity;
	else
		take_word(&task->event, BLOB_FD, arg, identity);
}

/* Looks at one argument; `again` is the second look, at exit, when the kernel itself has touched the page. What it calls
 * stands here once: the verifier goes through each call anew, in each program, at each start.
 */
GLOBAL int take(task_ref ref, u32 capture, u64 arg, bool again)
{
	struct task *task = TASK_OF(ref);
	if (!task || arg >= CALL_ARGS)
		return 0;
	struct event *event = &task->event;
	u64 *args = event->args;
	u64 address = ARG(args, arg);
	s32 dirfd = AT_FDCWD;
	u32 from = FROM_NOWHERE;
	if (capture == CAPTURE_FD || capture == CAPTURE_FD_MORE) {
		if (!again) /* by now it may stand for something else */
			take_fd(task, arg, capture == CAPTURE_FD);
		return 0;
	}
	if (!address) {
		if (capture != CAPTURE_PATH_AT || !arg || again)
			return 0;
		from = FROM_DIRECTORY;
		dirfd = ARG(args, arg - 1); /* NULL means the descriptor itself */
	} else if (capture == CAPTURE_STRING || capture == CAPTURE_PATH || capture == CAPTURE_PATH_AT) {
		u8 first = take_path(task, arg, again ? BLOB_REREAD : 0);
		if (capture == CAPTURE_STRING || again)
			return 0;
		from = first == '/' ? FROM_ROOT : first ? FROM_DIRECTORY : FROM_ROOT | FROM_DIRECTORY;
		if (capture == CAPTURE_PATH_AT && arg)
			dirfd = ARG(args, arg - 1);
	} else if (capture == CAPTURE_ARGV) {
		/* What is not readable now is sent again, whole, at exit. */
		event->unread &= ~(1 << arg);
		if (!take_argv(event, arg, address))
			event->unread |= 1 << arg;
	} else if (capture == CAPTURE_MESSAGES && arg < CALL_ARGS - 1) {
		take_messages(task, arg, ARG(args, arg + 1));
		from = start_of_name(event); /* of the last one: all start in the same directory */
	} else {
		bool is_address = capture == CAPTURE_ADDRESS || capture == CAPTURE_MESSAGE;
		u64 size = 0;
		if (capture == CAPTURE_MESSAGE)
			find_address(task, arg, address, &address, &size);
		else if ((is_address || capture == CAPTURE_STRUCT) && arg < CALL_ARGS - 1)
			size = is_address ? (u32)ARG(args, arg + 1) : ARG(args, arg + 1);
		take_bytes(task, arg, is_address ? BLOB_ADDRESS : BLOB_STRUCT, address, size);
		if (is_address)
			from = start_of_name(event);
	}
	take_start(event, arg, dirfd, from);
	return 0;
}

/* What the kernel wrote, at the exit of a call that succeeded. */
GLOBAL int take_written(task_ref ref, u32 capture, u64 arg)
{
	struct task *task = TASK_OF(ref);
	if (!task || arg >= CALL_ARGS)
		return 0;
	u64 *args = task->event.args;
	u64 address = ARG(args, arg);
	u64 size = 0;
	if (!address)
		return 0;
	if (capture == CAPTURE_MESSAGES_OUT) {
		take_messages(task, arg, task->event.ret);
		return 0;
	}
	if (capture == CAPTURE_MESSAGE_OUT)
		find_address(task, arg, address, &address, &size);
	else if (capture == CAPTURE_ADDRESS_OUT && arg < CALL_ARGS - 1)
		bpf_probe_read_user(&size, sizeof(u32), (void *)ARG(args, arg + 1));
	else if (capture == CAPTURE_FDS_OUT)
		size = 8;
	take_bytes(task, arg, capture == CAPTURE_FDS_OUT ? BLOB_STRUCT : BLOB_ADDRESS, address, size);
	return 0;
}

/* Records what a call gave a descriptor for. */
INLINE void take_returned_file(struct task *task, s32 fd, bool in_record)
{
	u64 identity = witnessed_open(&task->event); /* else another thread may have closed it already, or reused it */
	if (!identity) {
		struct file *file = file_of(fd);
		if (!file)
			return; /* decode.py misses the blob */
		if (LOAD(file, file, f_mode) & FMODE_CREATED)
			task->event.flags |= EVENT_CREATED;
		identity = identify((u64)file);
	}
	if (in_record)
		task->event.file = identity;
	else
		emit_word(task->event.call, EVENT_CALL, BLOB_FD, RESULT_ARG, identity);
}

/* Fills the task's event from the registers. */
INLINE void begin(struct task *task, struct task_struct *current, struct pt_regs *regs, u32 nr, u32 segment, u8 flags)
{
	struct event *event = &task->event;
	if (IS_X32(nr))
		flags |= EVENT_FOREIGN | EVENT_X32;
	else if (FOREIGN_ABI_WORD(current) & FOREIGN_ABI_BITS)
		flags |= EVENT_FOREIGN;
	read_args(event->args, regs);
	event->entry_ns = bpf_ktime_get_ns();
	event->segment = segment;
	event->nr = nr & 0xffff;
	event->flags = flags;
	event->file = 0;
	event->unread = 0;
	event->lost = 0;
	copy_name(event->comm, current);
}

/* The plugin is at work on this thread, and the call one of its own. */
INLINE bool is_muted(struct task *task, struct spec *spec)
{
	return task->muted >= MUTE_ALL || (task->muted && spec->flags & SPEC_QUIET);
}

/* Where calls begin and end. At the tracepoint that perf offers, a program can't be preempted, whatever the kernel; it
 * costs more, so it is for kernels that need it.
 */
#if defined(PREEMPTIBLE)
#define AT_CALLS(point) SEC("tp/raw_syscalls/" #point)
struct at_calls {
	u64 common;
	u64 nr;
	u64 result; /* at the end */
};
INLINE u32 number_of(struct at_calls *ctx)
{
	return ctx->nr;
}
INLINE u64 result_of(struct at_calls *ctx)
{
	return ctx->result;
}
#else
#define AT_CALLS(point) SEC("raw_tp/" #point)
struct at_calls {
	u64 registers;
	u64 value;
};
INLINE u32 number_of(struct at_calls *ctx)
{
	return ctx->value;
}
INLINE u64 result_of(struct at_calls *ctx)
{
	return ctx->value;
}
#endif

/* The registers of the program that makes the call. */
INLINE struct pt_regs *registers_of(struct at_calls *ctx, struct task_struct *current)
{
#if defined(OLD_KERNEL)
	return (void *)ctx->registers;
#elif defined(CASTS) && !defined(PREEMPTIBLE)
	return CAST(pt_regs, ctx->registers);
#else
	return (void *)bpf_task_pt_regs(current);
#endif
}

AT_CALLS(sys_enter)
int on_sys_enter(struct at_calls *ctx)
{
	struct task_struct *current = bpf_get_current_task_btf();
	u32 slot = slot_of(tid_of(current));
	if (!slot)
		return 0;
	struct task *task = enter(slot);
	struct control *c = task ? control_of(task->session) : 0;
	struct pt_regs *regs = registers_of(ctx, current);
	u32 nr = number_of(ctx);
	struct spec *spec = spec_of(nr);
	if (!task || !c || !spec)
		return 0;
	if (task->state == TASK_RECORDED)
		lose_call(task); /* its end was missed */
	task->event.call++;      /* also outside a window: user space sees by it that the program lives */
	bool goes_on = goes_on_with(task, regs, nr);
	attribute(task, slot, c);
	if (WAIT_OF(spec) && slot != c->runner)
		begin_wait(task, c, regs, WAIT_OF(spec));
	u32 segment = goes_on ? task->restart_segment : stamp(task, slot, c);
	if (!segment || is_muted(task, spec)) {
		task->state = TASK_UNRECORDED;
		return 0;
	}
	begin(task, current, regs, nr, segment, 0);
	if (spec->flags & SPEC_CAPTURES && !(task->event.flags & EVENT_FOREIGN))
		for (u64 arg = 0; arg < CALL_ARGS; arg++)
			if (spec->capture[arg] && spec->capture[arg] < CAPTURE_AT_EXIT)
				take(TASK_REF(task), spec->capture[arg], arg, false);
	if (spec->flags & SPEC_CAPTURES_AT_EXIT && !(task->event.flags & EVENT_FOREIGN))
		remember_room(task, spec);
	task->state = TASK_RECORDED;
	return 0;
}

/* Completes the event of the call that ends now, and writes it. */
INLINE void finish(struct task *task, u64 ret)
{
	struct event *event = &task->event;
	struct spec *spec = spec_of(event->nr);
	event->ret = ret;
	event->exit_ns = bpf_ktime_get_ns();
	if (spec && !(event->flags & EVENT_FOREIGN)) {
		bool refused = event->flags & EVENT_NO_ENTRY;
		/* Where the kernel could not read it either, there is nothing to read. */
		if (spec->flags & SPEC_CAPTURES && (refused || (event->unread && event->ret != -EFAULT)))
			for (u64 arg = 0; arg < CALL_ARGS; arg++)
				if (spec->capture[arg] && spec->capture[arg] < CAPTURE_AT_EXIT &&
					(refused || event->unread >> arg & 1))
					take(TASK_REF(task), spec->capture[arg], arg, !refused);
		if (spec->flags & SPEC_CAPTURES_AT_EXIT && event->ret >= 0)
			for (u64 arg = 0; arg < CALL_ARGS; arg++)
				if (spec->capture[arg] >= CAPTURE_AT_EXIT)
					take_written(TASK_REF(task), spec->capture[arg], arg);
		if (spec->flags & SPEC_RETURNS_FD && event->ret >= 0)
			take_returned_file(task, event->ret, spec->flags & SPEC_FILE_IS_RESULT);
		if (PAYLOAD_OF(spec) == PAYLOAD_IOCBS)
			take_iocbs(task);
		else if (PAYLOAD_OF(spec))
			take_dns(TASK_REF(task), PAYLOAD_OF(spec));
	}
	emit_call(task);
}

AT_CALLS(sys_exit)
int on_sys_exit(struct at_calls *ctx)
{
	struct task_struct *current = bpf_get_current_task_btf();
	u32 slot = slot_of(tid_of(current));
	if (!slot)
		return 0;
	struct task *task = enter(slot);
	if (!task)
		return 0;
	u64 ret = result_of(ctx);
	u8 state = task->state;
	struct control *c = state == TASK_IDLE || task->waiting ? control_of(task->session) : 0;
	task->state = TASK_IDLE;
	if (state == TASK_IDLE && c) {
		/* Seccomp or ptrace refused the call before sys_enter: an attempt all the same. */
		struct pt_regs *regs = registers_of(ctx, current);
		u32 nr = number_at_exit(regs);
		struct spec *spec = spec_of(nr);
		attribute(task, slot, c);
		u32 segment = stamp(task, slot, c);
		task->event.call += 2; /* user space sees by it that there was no entry */
		if (segment && spec && !is_muted(task, spec)) {
			begin(task, current, regs, nr, segment, EVENT_NO_ENTRY);
			state = TASK_RECORDED;
		}
	}
	if (state == TASK_RECORDED)
		finish(task, ret);
	if (is_broken_off(ret))
		expect_restart(task, registers_of(ctx, current), state, ret);
	if (c && task->waiting)
		end_wait(task, c, ret);
	if (task->next_image) {
		task->event.image = task->next_image;
		task->next_image = 0;
	}
	return 0;
}
