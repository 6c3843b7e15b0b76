/* Every system call of the followed tasks: arguments at entry, one record at exit.
 * Raw tracepoints sys_enter and sys_exit, ring buffer: Linux 5.8.
 * Costs an untraced task two array lookups; see benchmarks/ for the rest.
 */
#include "task.h"

#define AT_FDCWD -100
#define EFAULT 14
#define ADDRESS_BYTES 128 /* sizeof(struct sockaddr_storage) */

struct user_msghdr {
	void *name;
	s32 namelen;
};

/* Reads a path; what can't be read now stays marked and is tried again at exit. True if it may be relative. */
INLINE bool take_path(struct task *task, u32 arg, u8 flags)
{
	struct blob *blob = scratch_blob(task->event.call, EVENT_CALL, BLOB_PATH, arg);
	if (!blob)
		return false;
	u8 bit = 1 << arg;
	long n = bpf_probe_read_user_str(blob->data, PATH_BYTES + 1, (void *)task->event.args[arg]);
	if (n <= 0) {
		task->event.unread |= bit;
		return true;
	}
	task->event.unread &= ~bit;
	blob->flags = flags | (n > PATH_BYTES ? BLOB_CUT : 0);
	blob->size = n - 1;
	if (emit_blob(blob))
		task->event.lost |= bit;
	return blob->data[0] != '/';
}

/* Records the directory that a relative path starts from, as of now. */
INLINE void take_base(struct task *task, u32 arg, s32 dirfd)
{
	struct task_struct *current = (void *)bpf_get_current_task();
	struct path *path;
	struct blob *blob = scratch_blob(task->event.call, EVENT_CALL, BLOB_BASE, arg);
	if (!blob)
		return;
	if (dirfd == AT_FDCWD) {
		struct fs_struct *fs = READ(current, fs);
		path = (void *)FIELD(fs, pwd);
	} else {
		struct file *file = file_of(current, dirfd);
		if (!file)
			return; /* the call will fail with EBADF */
		path = (void *)FIELD(file, f_path);
	}
	walk_path(blob, path);
	if (emit_blob(blob))
		task->event.lost |= 1 << arg;
}

/* Copies what an argument points to. */
INLINE void take_bytes(struct task *task, u32 arg, u8 kind, void *address, u32 size)
{
	struct blob *blob = scratch_blob(task->event.call, EVENT_CALL, kind, arg);
	if (!blob || !address || !size)
		return;
	u8 bit = 1 << arg;
	if (size > ADDRESS_BYTES) /* the kernel refuses more */
		size = ADDRESS_BYTES;
	BARRIER(size);
	if (size > ADDRESS_BYTES || bpf_probe_read_user(blob->data, size, address)) {
		task->event.unread |= bit;
		return;
	}
	task->event.unread &= ~bit;
	blob->size = size;
	if (emit_blob(blob))
		task->event.lost |= bit;
}

INLINE void take_message(struct task *task, u32 arg)
{
	struct user_msghdr message;
	if (bpf_probe_read_user(&message, sizeof(message), (void *)task->event.args[arg])) {
		task->event.unread |= 1 << arg;
		return;
	}
	task->event.unread &= ~(1 << arg);
	take_bytes(task, arg, BLOB_ADDRESS, message.name, message.namelen);
}

/* Looks at one argument; `again` is the second look, at exit, when the kernel itself has touched the page. */
INLINE void take(struct task *task, u8 capture, u32 arg, bool again)
{
	u64 *args = task->event.args;
	if (!args[arg])
		return;
	if (capture == CAPTURE_PATH || capture == CAPTURE_PATH_AT) {
		bool relative = take_path(task, arg, again ? BLOB_REREAD : 0);
		if (relative && !again)
			take_base(task, arg, capture == CAPTURE_PATH_AT && arg ? (s32)args[arg - 1] : AT_FDCWD);
	} else if (capture == CAPTURE_ADDRESS && arg < CALL_ARGS - 1) {
		take_bytes(task, arg, BLOB_ADDRESS, (void *)args[arg], args[arg + 1]);
	} else if (capture == CAPTURE_WORD) {
		take_bytes(task, arg, BLOB_WORD, (void *)args[arg], 8);
	} else if (capture == CAPTURE_MESSAGE) {
		take_message(task, arg);
	}
}

/* Records which file an open call gave. */
INLINE void take_returned_file(struct task *task, s32 fd)
{
	struct file *file = file_of((void *)bpf_get_current_task(), fd);
	struct blob *blob = scratch_blob(task->event.call, EVENT_CALL, BLOB_REAL, 0);
	if (!blob || !file)
		return; /* another thread closed it already: decode.py finds no BLOB_REAL */
	walk_path(blob, (void *)FIELD(file, f_path));
	emit_blob(blob);
}

/* Fills the task's event from the registers. */
INLINE void begin(struct task *task, struct pt_regs *regs, u32 nr, u32 segment, u8 flags)
{
	struct event *event = &task->event;
	struct task_struct *current = (void *)bpf_get_current_task();
	if ((FOREIGN_ABI_WORD(current) & FOREIGN_ABI_BITS) || (nr & X32_BIT))
		flags |= EVENT_FOREIGN;
	read_args(event->args, regs);
	event->entry_ns = bpf_ktime_get_ns();
	event->segment = segment;
	event->nr = nr & 0xffff;
	event->flags = flags;
	event->unread = 0;
	event->lost = 0;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
}

SEC("raw_tp/sys_enter")
int on_sys_enter(struct bpf_raw_tracepoint_args *ctx)
{
	struct task *task = followed(bpf_get_current_pid_tgid());
	if (!task)
		return 0;
	task->event.call++; /* also outside a window: user space sees by it that the program lives */
	u32 nr = ctx->args[1];
	u32 segment = open_segment();
	struct spec *spec = spec_of(nr);
	if (!segment || !spec || (task->muted && spec->flags & SPEC_QUIET)) {
		task->state = TASK_UNRECORDED;
		return 0;
	}
	begin(task, (void *)ctx->args[0], nr, segment, 0);
	if (spec->flags & SPEC_CAPTURES && !(task->event.flags & EVENT_FOREIGN))
		for (u32 arg = 0; arg < CALL_ARGS; arg++)
			if (spec->capture[arg])
				take(task, spec->capture[arg], arg, false);
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
	if (spec && spec->flags & SPEC_CAPTURES && !(event->flags & EVENT_FOREIGN)) {
		bool refused = event->flags & EVENT_NO_ENTRY;
		/* Where the kernel could not read it either, there is nothing to read. */
		if (refused || (event->unread && event->ret != -EFAULT))
			for (u32 arg = 0; arg < CALL_ARGS; arg++)
				if (spec->capture[arg] && (refused || event->unread >> arg & 1))
					take(task, spec->capture[arg], arg, !refused);
		if (spec->flags & SPEC_RETURNS_FD && event->ret >= 0)
			take_returned_file(task, event->ret);
	}
	emit_call(task);
}

SEC("raw_tp/sys_exit")
int on_sys_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct task *task = followed(bpf_get_current_pid_tgid());
	if (!task)
		return 0;
	u8 state = task->state;
	task->state = TASK_IDLE;
	if (state == TASK_IDLE) {
		/* Seccomp or ptrace refused the call before sys_enter: an attempt all the same. */
		struct pt_regs *regs = (void *)ctx->args[0];
		u32 segment = open_segment();
		task->event.call++;
		if (segment) {
			begin(task, regs, number_at_exit(regs), segment, EVENT_NO_ENTRY);
			state = TASK_RECORDED;
		}
	}
	if (state == TASK_RECORDED)
		finish(task, ctx->args[1]);
	if (task->next_image) {
		task->event.image = task->next_image;
		task->next_image = 0;
	}
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
