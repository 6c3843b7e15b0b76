/* The way of a task into those that are followed: by its fork, or because it was there already when somebody asked. */
#pragma once
#include "blobs.h"
#include "task.h"

#define PARENTS_UP 64

MAP_PERCPU(note_here, struct event); /* of a task that was there, for which the stack has no room */

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

/* A program is no socket: identify_path alone takes less of the stack. */
INLINE void take_exe(struct event *event, struct file *file)
{
	struct path path;
	struct inode *inode = file ? READ(file, f_inode) : 0;
	if (!inode || bpf_probe_read_kernel(&path, sizeof(path), FIELD(file, f_path)) ||
		emit_word(event->call, event->kind, BLOB_EXE, 0,
			identify_path((u64)path.mnt, (u64)path.dentry, (u64)inode, READ(inode, i_ino))))
		event->lost |= 1;
}

/* Where pytest's own root directory is in its mount namespace: what it calls "/". */
INLINE void take_own_root(struct event *event, struct control *c)
{
	if (emit_word(event->call, event->kind, BLOB_ROOT, 0, identify_entry(c->root_mnt, (void *)c->root)))
		event->lost |= 1;
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

/* A way up from a process to the one that the caller ordered. */
struct descent {
	struct task_struct *up;
	void *namespace;
	u32 level;
	u32 caller_pid;
	u32 ordered;
	bool found;
};
STATE_MAP(descent);

static long parent_step(u64 index, struct descent *at)
{
	struct task_struct *up = at->up;
	u32 above = READ(up, tgid);
	at->found = at->ordered ? pid_seen_by(up, at->level, at->namespace) == at->ordered : above == at->caller_pid;
	if (at->found || above <= 1)
		return 1;
	up = READ(up, real_parent);
	at->up = READ(up, group_leader);
	return 0;
}
STEP(parent_step, descent);

/* Whether a process is the one that the caller ordered, or descends from it.
 * A function of its own, as its stack adds to none.
 */
GLOBAL int is_ordered(u64 leader_address, u32 ordered)
{
	struct task_struct *caller = (void *)bpf_get_current_task();
	struct pid *pid = READ(caller, thread_pid);
	u32 level = READ(pid, level);
	u32 size = SIZE(struct pid, numbers[0]);
	struct upid *number = (void *)FIELD(pid, numbers) + level * size;
	struct descent *at = LOOP_STATE(descent);
	if (!at)
		return 0;
	at->up = (void *)leader_address;
	at->namespace = READ(number, ns);
	at->level = level;
	at->caller_pid = bpf_get_current_pid_tgid() >> 32;
	at->ordered = ordered;
	bpf_loop(PARENTS_UP, parent_step, at, 0);
	return at->found;
}

/* Follows a task from here on, if it belongs to the process that the caller ordered, or to one that descends from it.
 * The caller is the current process.
 */
INLINE int enrol(struct task_struct *each)
{
	u32 caller_pid = bpf_get_current_pid_tgid() >> 32;
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
	task->handed_by = 0;
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
		c->self_pid = caller_pid;
		if (tid == caller_pid) {
			struct fs_struct *fs = READ(each, fs);
			bpf_probe_read_kernel(&c->root_mnt, sizeof(struct path), FIELD(fs, root));
			take_own_root(event, c);
		}
	}
	emit_note(event);
	ADD(&c->enrolled, 1);
	return 0;
}
