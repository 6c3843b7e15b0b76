/* Who gave a task what it does now: decided at the end of each wait, if an earlier test created the task.
 * A wait that another task ended hands over that task's work; one that ended by its own clock hands it back. The
 * interpreter's own locks are no waits: they wake threads all the time and hand over nothing.
 * Costs each wait of a task other than the runner a look at its arguments.
 */
#pragma once
#include "arguments.h"

#define EAGAIN 11
#define ETIMEDOUT 110
#define FUTEX_COMMAND 0x7f
#define S_IFIFO 0010000
#define S_IFREG 0100000

struct timeout {
	s64 seconds, fraction;
};
struct pollfd {
	s32 fd;
	u16 events, revents;
};

INLINE bool is_futex_wait(u32 operation)
{
	u32 command = operation & FUTEX_COMMAND;
	return command == 0 || command == 6 || command == 9 || command == 11 || command == 13;
}

/* Whether a call that waits for descriptors was told not to. */
INLINE bool is_hasty(u64 *args, u32 wait)
{
	if (wait == WAIT_READY_POLL)
		return !(s32)args[2];
	if (wait == WAIT_READY_EPOLL)
		return !(s32)args[3];
	u64 address = wait == WAIT_READY_PPOLL ? args[2] : wait == WAIT_READY_EPOLL2 ? args[3] : args[4];
	struct timeout timeout;
	if (!address || bpf_probe_read_user(&timeout, sizeof(timeout), (void *)address))
		return false;
	return !timeout.seconds && !timeout.fraction;
}

INLINE bool is_ready(u32 wait)
{
	return wait >= WAIT_READY_POLL && wait <= WAIT_READY_SELECT;
}

/* At the entry of a call that waits. */
INLINE void begin_wait(struct task *task, struct control *c, struct pt_regs *regs, u32 wait)
{
	u64 *args = task->event.args;
	read_args(args, regs);
	if (wait == WAIT_LOCK) {
		bool inner = args[0] >= c->locks_from && args[0] < c->locks_to && task->event.pid == c->self_pid;
		if (inner || !is_futex_wait(args[1]))
			return;
	}
	task->wait_at = args[0];
	if (wait == WAIT_READY_POLL || wait == WAIT_READY_PPOLL) {
		struct pollfd one;
		bool single = (u32)args[1] == 1 && !bpf_probe_read_user(&one, sizeof(one), (void *)args[0]);
		task->wait_at = single ? one.fd : -1;
	}
	if (is_ready(wait) && is_hasty(args, wait))
		wait = WAIT_HASTY;
	task->woken = 0;
	task->waiting = wait;
}

INLINE u32 kind_of_file(s32 fd)
{
	struct file *file = file_of(fd);
	struct inode *inode = file ? READ(file, f_inode) : 0;
	return inode ? READ(inode, i_mode) & S_IFMT : 0;
}

/* The segment in which it slept last: it may run again much later, and find what was put there in between. */
INLINE u32 slept_until(struct task *task, struct control *c)
{
	return task->woken ? task->woken_at : c->now;
}

/* At the end of a wait that gave something. */
INLINE void take_work(struct task *task, struct control *c, u32 wait)
{
	struct event *event = &task->event;
	bool thread = event->pid == c->self_pid;
	bool by_file = wait == WAIT_DATA || wait == WAIT_READY_POLL || wait == WAIT_READY_PPOLL;
	u32 kind = by_file ? kind_of_file(task->wait_at) : 0;
	if (!task->woken) {
		/* It did not sleep: what it got was there, and who put it there isn't known. */
		bool doubtful = wait == WAIT_DATA ? kind == S_IFIFO || (thread && kind == S_IFSOCK) : thread;
		if (doubtful && event->tag == task->own_tag)
			event->since = 0;
		return;
	}
	/* A process serves whom it likes; but a pipe, or a lock in memory, is shared within one program. */
	bool shared = wait == WAIT_LOCK || (by_file && kind == S_IFIFO);
	if (task->woken != WOKEN_BY_OTHERS && (shared || (thread && !(wait == WAIT_DATA && kind == S_IFREG)))) {
		event->tag = task->woken;
		task->handed_at = task->wait_at;
	}
	event->since = slept_until(task, c);
}

/* At the exit of a call that waits. */
INLINE void end_wait(struct task *task, struct control *c, s64 ret)
{
	u32 wait = task->waiting;
	struct event *event = &task->event;
	task->waiting = WAIT_NOTHING;
	/* One without a tag serves the test runner: it takes no test's work. */
	if (task->certain || !task->own_tag || (task->own_tag & SEGMENT_NUMBER) >= c->first)
		return;
	bool lock = wait == WAIT_LOCK;
	if (wait == WAIT_SLEEP) {
		if (event->tag == task->own_tag)
			event->since = slept_until(task, c);
	} else if ((lock && ret == -ETIMEDOUT) || (is_ready(wait) && !ret)) {
		/* Its own clock: back at the place where it waits for work, or in the middle of the work it was given? */
		bool idle = event->tag == task->own_tag || task->wait_at == task->handed_at;
		event->tag = task->own_tag;
		event->since = idle ? slept_until(task, c) : 0;
	} else if ((lock && ret == -EAGAIN) || (wait == WAIT_HASTY && ret > 0)) {
		if (event->tag == task->own_tag)
			event->since = 0;
	} else if (ret >= 0 && wait != WAIT_HASTY) {
		take_work(task, c, wait);
	}
}
