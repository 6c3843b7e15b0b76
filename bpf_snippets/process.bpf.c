/* The life of the followed tasks: fork, exec, exit, who wakes whom, and who was there at the start.
 * Raw tracepoints task_newtask, sched_process_exec, sched_process_exit, sched_waking, task iterator: Linux 5.8.
 * Costs each wake-up on the machine one read and one array lookup, and nothing between these events.
 */
#include "argv.h"
#include "task.h"

#define CLONE_THREAD 0x00010000
#define PARENTS_UP 64

MAP_PERCPU(note_here, struct event); /* the iterator's, which has no room for it on its stack */

struct linux_binprm {
	struct file *file;
	const char *filename;
} PRESERVE;

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} PRESERVE;

/* Points a slot at a task: what the FORK and TASK events tell of it. */
INLINE void introduce(struct event *event, struct task *task, struct task_struct *kernel_task, u32 slot)
{
	u32 tid = task->event.tid;
	u32 pid = READ(kernel_task, tgid);
	task->event.pid = pid;
	task->ns_tid = ns_id(kernel_task);
	struct task_struct *leader = READ(kernel_task, group_leader);
	task->ns_pid = tid == pid ? task->ns_tid : ns_id(leader);
	event->args[0] = tid;
	event->args[1] = pid;
	event->args[2] = task->ns_tid;
	event->args[3] = task->ns_pid;
	event->args[5] = slot;
}

SEC("raw_tp/task_newtask")
int on_fork(struct bpf_raw_tracepoint_args *ctx)
{
	ALONE;
	u32 parent_slot = slot_of(bpf_get_current_pid_tgid());
	struct task *parent = enter(parent_slot);
	struct control *c = control();
	if (!parent || !c || parent->muted == MUTE_CHILDREN) /* what the plugin itself starts is not followed */
		return 0;
	struct task_struct *child_task = (void *)ctx->args[0];
	u64 clone_flags = ctx->args[1];
	u32 tid = READ(child_task, pid);
	u32 slot = 0;
	struct task *child = follow(tid, parent->session, &slot);
	if (!child)
		return 0;
	struct event event = {};
	introduce(&event, child, child_task, slot);
	/* It belongs to whom its parent worked for in the call that made it. */
	child->own_tag = child->event.tag = parent->event.tag;
	child->event.since = parent->event.since;
	event.kind = EVENT_FORK;
	event.call = parent->event.call;
	event.image = parent->event.image;
	event.pid = parent->event.pid;
	event.tid = parent->event.tid;
	event.tag = child->event.tag;
	event.segment = stamp(parent, parent_slot, c);
	event.entry_ns = event.exit_ns = bpf_ktime_get_ns();
	event.args[4] = clone_flags;
	bpf_get_current_comm(event.comm, sizeof(event.comm));
	child->event.kind = EVENT_CALL;
	child->event.image = clone_flags & CLONE_THREAD ? parent->event.image : parent->event.call;
	set_slot(tid, slot);
	emit_note(&event);
	return 0;
}

/* A program is no socket: identify_path alone takes less of the stack. */
INLINE void take_exe(struct event *event, struct file *file)
{
	struct path path;
	if (!file || bpf_probe_read_kernel(&path, sizeof(path), FIELD(file, f_path)) ||
		emit_word(event->call, event->kind, BLOB_EXE, 0,
			identify_path((u64)path.mnt, (u64)path.dentry, (u64)READ(file, f_inode))))
		event->lost |= 1;
}

/* The old program's memory is gone by sys_exit: a path of execve that was unreadable at entry is taken from the kernel's
 * copy. That of execveat has the descriptor worked into it, so it stays unknown. The arguments come with the EXEC event.
 */
INLINE void take_executed_path(struct task *task, struct linux_binprm *bprm)
{
	struct event *event = &task->event;
	struct spec *spec = spec_of(event->nr);
	struct blob *blob = scratch_blob(event->call, EVENT_CALL, BLOB_PATH, 0);
	u8 unread = event->unread;
	event->unread = 0; /* a second look at exit would read the new program's memory */
	if (!(unread & 1)) {
		event->lost |= spec && spec->capture[1] == CAPTURE_PATH_AT ? unread & 2 : 0;
		return;
	}
	long n = blob ? bpf_probe_read_kernel_str(blob->data, PATH_BYTES + 1, READ(bprm, filename)) : -1;
	if (n > 0) {
		blob->size = n - 1;
		blob->flags = BLOB_REREAD;
	}
	if (n <= 0 || emit_blob(blob))
		event->lost |= 1;
}

SEC("raw_tp/sched_process_exec")
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	ALONE;
	struct task_struct *current = (void *)ctx->args[0];
	u32 old_tid = ctx->args[1];
	struct linux_binprm *bprm = (void *)ctx->args[2];
	u32 tid = bpf_get_current_pid_tgid();
	u32 slot = slot_of(old_tid);
	struct task *task = enter(slot);
	struct control *c = control();
	if (!task || !c)
		return 0;
	if (old_tid != tid) {
		/* A thread that execs takes over its leader's id; the leader's slot went with the leader's exit. */
		set_slot(old_tid, 0);
		set_slot(tid, slot);
		task->event.tid = tid;
		task->ns_tid = task->ns_pid;
	}
	task->next_image = task->event.call;
	if (task->state == TASK_RECORDED && task->event.unread)
		take_executed_path(task, bprm);
	struct event event = {};
	event.kind = EVENT_EXEC;
	event.call = task->event.call;
	event.image = task->next_image;
	event.pid = task->event.pid;
	event.tid = tid;
	event.tag = task->event.tag;
	event.segment = stamp(task, slot, c);
	event.entry_ns = event.exit_ns = bpf_ktime_get_ns();
	event.args[0] = old_tid;
	event.args[5] = slot;
	bpf_get_current_comm(event.comm, sizeof(event.comm));
	take_exe(&event, READ(bprm, file));
	struct mm_struct *mm = READ(current, mm);
	take_argv_range(&event, READ(mm, arg_start), READ(mm, arg_end));
	emit_note(&event);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	ALONE;
	struct task_struct *current = (void *)ctx->args[0];
	u32 tid = bpf_get_current_pid_tgid();
	u32 slot = slot_of(tid);
	struct task *task = task_at(slot);
	if (!task)
		return 0;
	struct control *c = control_of(task->session);
	if (!enter(slot) || !c) {
		unfollow(tid, slot, task);
		return 0;
	}
	u64 now = bpf_ktime_get_ns();
	if (task->state == TASK_RECORDED) {
		task->event.flags |= EVENT_NO_RETURN;
		task->event.exit_ns = now;
		task->event.ret = 0;
		emit_call(task);
	}
	struct event event = {};
	struct signal_struct *signal = READ(current, signal);
	event.kind = EVENT_EXIT;
	event.call = task->event.call;
	event.image = task->event.image;
	event.pid = task->event.pid;
	event.tid = tid;
	event.tag = task->event.tag;
	event.segment = stamp(task, slot, c);
	event.entry_ns = event.exit_ns = now;
	event.args[0] = (u32)READ(current, exit_code);
	event.args[1] = (u32)READ(signal, group_exit_code);
#if defined(OLD_KERNEL) /* where no thread ended the whole process, its code is the leader's */
	if (!event.args[1])
		event.args[1] = (u32)READ(READ(current, group_leader), exit_code);
#endif
	event.args[5] = slot;
	bpf_get_current_comm(event.comm, sizeof(event.comm));
	unfollow(tid, slot, task);
	emit_note(&event);
	return 0;
}

/* Remembers who ended the wait of an earlier test's task. */
SEC("raw_tp/sched_waking")
int on_waking(struct bpf_raw_tracepoint_args *ctx)
{
	ALONE;
	struct task_struct *woken = (void *)ctx->args[0];
	struct task *task = followed(READ(woken, pid));
	if (!task || !task->waiting)
		return 0;
	u32 slot = slot_of(bpf_get_current_pid_tgid());
	struct task *waker = task_at(slot);
	struct control *c = control_of(task->session);
	u32 tag = 0;
	/* What wakes outside a system call is an interrupt. */
	if (waker && c && waker->session == task->session && waker->state != TASK_IDLE)
		tag = slot == c->runner ? c->tag : waker->event.tag;
	if (!task->woken || task->woken == WOKEN_BY_OTHERS)
		task->woken = tag ? tag : WOKEN_BY_OTHERS;
	if (c)
		task->woken_at = c->now;
	return 0;
}

/* A process's id as another task's PID namespace counts; 0 if it isn't there. */
INLINE u32 pid_seen_by(struct task_struct *process, u32 level, void *namespace)
{
	struct pid *pid = READ(process, thread_pid);
	u32 size = SIZE(struct pid, numbers[0]);
	if (READ(pid, level) < level)
		return 0;
	struct upid *at = (void *)FIELD(pid, numbers) + level * size;
	return READ(at, ns) == namespace ? READ(at, nr) : 0;
}

/* A way up from a process to the one that the reader of the iterator ordered. */
struct descent {
	struct task_struct *up;
	void *namespace;
	u32 level;
	u32 reader_pid;
	u32 ordered;
	bool found;
};
STATE_MAP(descent);

static long parent_step(u64 index, struct descent *at)
{
	struct task_struct *up = at->up;
	u32 above = READ(up, tgid);
	at->found = at->ordered ? pid_seen_by(up, at->level, at->namespace) == at->ordered : above == at->reader_pid;
	if (at->found || above <= 1)
		return 1;
	up = READ(up, real_parent);
	at->up = READ(up, group_leader);
	return 0;
}
STEP(parent_step, descent);

/* Whether a process is the one that the reader of the iterator ordered, or descends from it.
 * A function of its own, as its stack adds to none.
 */
GLOBAL int is_ordered(u64 leader_address, u32 ordered)
{
	struct task_struct *reader = (void *)bpf_get_current_task();
	struct pid *pid = READ(reader, thread_pid);
	u32 level = READ(pid, level);
	u32 size = SIZE(struct pid, numbers[0]);
	struct upid *number = (void *)FIELD(pid, numbers) + level * size;
	struct descent *at = LOOP_STATE(descent);
	if (!at)
		return 0;
	at->up = (void *)leader_address;
	at->namespace = READ(number, ns);
	at->level = level;
	at->reader_pid = bpf_get_current_pid_tgid() >> 32;
	at->ordered = ordered;
	bpf_loop(PARENTS_UP, parent_step, at, 0);
	return at->found;
}

/* Enrols a process, with its threads and all that descends from it. */
SEC("iter/task")
int on_task_iterated(struct bpf_iter__task *ctx)
{
	ALONE;
	struct task_struct *each = ctx->task;
	u32 reader_pid = bpf_get_current_pid_tgid() >> 32;
	u32 zero = 0;
	struct enrolment *order = bpf_map_lookup_elem(&enrolments, &zero);
	struct control *c = order ? control_of(order->session) : 0;
	u32 *here = bpf_map_lookup_elem(&session_here, &zero);
	struct event *event = bpf_map_lookup_elem(&note_here, &zero);
	if (!each || !order || !c || !here || !event)
		return 0;
	u32 tid = READ(each, pid);
	if (!is_ordered((u64)READ(each, group_leader), order->pid))
		return 0;
	struct task *task = followed(tid);
	if (task && task->session < SESSIONS) {
		/* Somebody follows it already. */
		if (!order->pid)
			return 0;
		if (task->session != order->session) {
			ADD(&c->refused, 1);
		} else if (task->own_tag != order->tag) {
			task->own_tag = task->event.tag = order->tag;
			task->event.since = c->now;
			ADD(&c->enrolled, 1);
		}
		return 0;
	}
	u32 slot = 0;
	task = follow(tid, order->session, &slot);
	if (!task)
		return 0;
	*here = order->session;
	task->own_tag = task->event.tag = order->tag;
	task->event.since = c->now;
	__builtin_memset(event, 0, sizeof(*event));
	introduce(event, task, each, slot);
	struct task_struct *parent = READ(READ(each, group_leader), real_parent);
	event->kind = EVENT_TASK;
	event->call = ++task->event.call;
	/* Threads of one process share its image; no call made it that was seen. */
	event->image = task->event.image = 1ull << 63 | task->event.pid;
	event->pid = task->event.pid;
	event->tid = tid;
	event->tag = order->tag;
	event->entry_ns = event->exit_ns = bpf_ktime_get_ns();
	event->args[4] = READ(parent, tgid);
	bpf_probe_read_kernel(event->comm, sizeof(event->comm), FIELD(each, comm));
	task->event.kind = EVENT_CALL;
	take_exe(event, READ(READ(each, mm), exe_file));
	set_slot(tid, slot);
	if (!order->pid) {
		c->self_pid = reader_pid;
		if (tid == reader_pid) {
			struct fs_struct *fs = READ(each, fs);
			bpf_probe_read_kernel(&c->root_mnt, sizeof(struct path), FIELD(fs, root));
		}
	}
	emit_note(event);
	ADD(&c->enrolled, 1);
	return 0;
}
