/* The life of the followed tasks: fork, exec, exit, and who was there at the start.
 * Raw tracepoints task_newtask, sched_process_exec, sched_process_exit, task iterator: Linux 5.8.
 * Costs nothing between these events.
 */
#include "argv.h"
#include "task.h"

#define CLONE_THREAD 0x00010000
#define PARENTS_UP 64

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
	struct task *parent = followed(bpf_get_current_pid_tgid());
	if (!parent || parent->muted == MUTE_ALL) /* what the plugin itself starts is not followed */
		return 0;
	struct task_struct *child_task = (void *)ctx->args[0];
	u64 clone_flags = ctx->args[1];
	u32 tid = READ(child_task, pid);
	u32 slot = 0;
	struct task *child = follow(tid, &slot);
	if (!child)
		return 0;
	struct control *c = control();
	if (!c)
		return 0;
	struct event event = {};
	introduce(&event, child, child_task, slot);
	/* What pytest starts belongs to the moment; what that starts in turn belongs with its parent. */
	child->event.tag = parent->event.pid == c->self_pid ? c->segment : parent->event.tag;
	event.kind = EVENT_FORK;
	event.call = parent->event.call;
	event.image = parent->event.image;
	event.pid = parent->event.pid;
	event.tid = parent->event.tid;
	event.tag = child->event.tag;
	event.segment = c->segment;
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
	if (!file || emit_word(event->call, event->kind, BLOB_EXE, 0,
			     identify_path((u64)FIELD(file, f_path), (u64)READ(file, f_inode))))
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
	struct task_struct *current = (void *)ctx->args[0];
	u32 old_tid = ctx->args[1];
	struct linux_binprm *bprm = (void *)ctx->args[2];
	u32 tid = bpf_get_current_pid_tgid();
	u16 slot = slot_of(old_tid);
	struct task *task = task_at(slot);
	if (!task)
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
	event.segment = open_segment();
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
	struct task_struct *current = (void *)ctx->args[0];
	u32 tid = bpf_get_current_pid_tgid();
	u16 slot = slot_of(tid);
	struct task *task = task_at(slot);
	if (!task)
		return 0;
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
	event.segment = open_segment();
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

/* Enrols the process that reads the iterator, with its threads and all that descends from it. */
SEC("iter/task")
int on_task_iterated(struct bpf_iter__task *ctx)
{
	struct task_struct *each = ctx->task;
	u32 reader = bpf_get_current_pid_tgid() >> 32;
	struct control *c = control();
	if (!each || !c)
		return 0;
	u32 tid = READ(each, pid);
	if (slot_of(tid))
		return 0;
	struct task_struct *up = READ(each, group_leader);
	bool ours = false;
	for (int i = 0; i < PARENTS_UP; i++) {
		u32 pid = READ(up, tgid);
		if (pid == reader) {
			ours = true;
			break;
		}
		if (pid <= 1)
			break;
		up = READ(up, real_parent);
		up = READ(up, group_leader);
	}
	if (!ours)
		return 0;
	u32 slot = 0;
	struct task *task = follow(tid, &slot);
	if (!task)
		return 0;
	struct event event = {};
	introduce(&event, task, each, slot);
	struct task_struct *parent = READ(READ(each, group_leader), real_parent);
	event.kind = EVENT_TASK;
	event.call = ++task->event.call;
	/* Threads of one process share its image; no call made it that was seen. */
	event.image = task->event.image = 1ull << 63 | task->event.pid;
	event.pid = task->event.pid;
	event.tid = tid;
	event.entry_ns = event.exit_ns = bpf_ktime_get_ns();
	event.args[4] = READ(parent, tgid);
	bpf_probe_read_kernel(event.comm, sizeof(event.comm), FIELD(each, comm));
	task->event.kind = EVENT_CALL;
	take_exe(&event, READ(READ(each, mm), exe_file));
	set_slot(tid, slot);
	emit_note(&event);
	c->self_pid = reader;
	if (tid == reader) {
		struct fs_struct *fs = READ(each, fs);
		struct path root;
		if (!bpf_probe_read_kernel(&root, sizeof(root), FIELD(fs, root))) {
			c->root = (u64)root.dentry;
			c->root_mnt = (u64)root.mnt;
		}
	}
	ADD(&c->enrolled, 1);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
