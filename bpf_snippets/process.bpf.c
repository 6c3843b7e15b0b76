/* The life of the followed tasks: fork, exec, exit, and who wakes whom.
 * Raw tracepoints task_newtask, sched_process_exec, sched_process_exit, sched_waking: since before Linux 5.8.
 * Costs each wake-up on the machine one read and one array lookup, and nothing between these events.
 */
#include "argv.h"
#include "enrol.h"

#define CLONE_THREAD 0x00010000
#define PF_EXITING 4
#define DEPARTED 4096

MAP_KEYED(departed, BPF_MAP_TYPE_LRU_HASH, u32, u64, DEPARTED, 0); /* session and tag of tasks that end */

struct linux_binprm {
	struct file *file;
	const char *filename;
} PRESERVE;

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
	child->handed_by = parent->handed_by;
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
	/* The code of the whole process, as the kernel gives it to the parent: an older one flags no end thread by thread. */
	event.args[1] = READ(signal, flags) & SIGNAL_GROUP_EXIT ? (u32)READ(signal, group_exit_code)
								: (u32)READ(READ(current, group_leader), exit_code);
	event.args[5] = slot;
	bpf_get_current_comm(event.comm, sizeof(event.comm));
	/* Who killed an earlier test's process isn't known. */
	bool killed = event.args[0] & 0x7f && !is_of_this_test(event.tag, c);
	u64 whose = (u64)task->session << 32 | (killed ? 0 : event.tag);
	bpf_map_update_elem(&departed, &tid, &whose, 0);
	unfollow(tid, slot, task);
	emit_note(&event);
	return 0;
}

/* Whose task it was that wakes others while it ends, by closing its pipes or as a child; 0 = it isn't known. */
INLINE u32 tag_of_departed(u32 tid, u8 session)
{
	struct task_struct *current = (void *)bpf_get_current_task();
	u64 *whose = READ(current, flags) & PF_EXITING ? bpf_map_lookup_elem(&departed, &tid) : 0;
	return whose && *whose >> 32 == session ? *whose : 0;
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
	u32 tid = bpf_get_current_pid_tgid();
	u32 slot = slot_of(tid);
	struct task *waker = task_at(slot);
	struct control *c = control_of(task->session);
	u32 tag = waker ? 0 : tag_of_departed(tid, task->session);
	/* What wakes outside a system call is an interrupt. */
	if (waker && c && waker->session == task->session && waker->state != TASK_IDLE)
		tag = slot == c->runner ? c->tag : waker->event.tag;
	if (!task->woken || task->woken == WOKEN_BY_OTHERS)
		task->woken = tag ? tag : WOKEN_BY_OTHERS;
	if (c)
		task->woken_at = c->now;
	return 0;
}
