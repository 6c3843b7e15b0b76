/* Who gave a task what it does now: decided at the end of each wait, if an earlier test created the task.
 * A wait that another task ended hands over that task's work; one that ended by its own clock hands it back, for certain
 * if the current test gave it none. The interpreter's own locks are no waits: they wake threads all the time and hand over
 * nothing.
 * Costs each wait of a task other than the runner a look at its arguments.
 */
#pragma once
#include "arguments.h"

#define EAGAIN 11
#define ETIME 62
#define ETIMEDOUT 110
#define FUTEX_COMMAND 0x7f
#define MEM_MAJOR 1
#define DEV_MINOR_BITS 20
#define S_IFIFO 0010000
#define S_IFCHR 0020000
#define S_IFBLK 0060000
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

/* Whether its own clock ended the wait. */
INLINE bool timed_out(struct task *task, u32 wait, s64 ret)
{
	if (is_ready(wait))
		return !ret;
	if (ret == -EAGAIN)
		return wait == WAIT_OTHER && task->woken; /* else it was told not to wait */
	return ret == -ETIMEDOUT || ret == -ETIME;
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

/* 0 for what has no name, as a timer. Memory devices, such as /dev/null, pass for regular files. */
INLINE u32 kind_of_file(s32 fd)
{
	struct file *file = file_of(fd);
	struct inode *inode = file ? READ(file, f_inode) : 0;
	u32 kind = inode ? READ(inode, i_mode) & S_IFMT : 0;
	return kind == S_IFCHR && READ(inode, i_rdev) >> DEV_MINOR_BITS == MEM_MAJOR ? S_IFREG : kind;
}

/* The segment in which it slept last: it may run again much later, and find what was put there in between. */
INLINE u32 slept_until(struct task *task, struct control *c)
{
	return task->woken ? task->woken_at : c->now;
}

/* At the end of a wait that tells whose doing it is from here on. Once this test gave it work, nothing tells when that is
 * over: it waits by the clock in the middle of it too, on a descriptor or a lock that it used before.
 */
INLINE void settle(struct task *task, struct control *c)
{
	bool open = is_of_this_test(task->handed_by, c) && !is_of_this_test(task->event.tag, c);
	task->event.since = open ? 0 : slept_until(task, c);
}

/* What it does from here on may be this test's work: nothing tells. */
INLINE void doubt(struct task *task, struct control *c)
{
	if (!is_of_this_test(task->event.tag, c))
		task->event.since = 0;
}

/* At the end of a wait that gave something. */
INLINE void take_work(struct task *task, struct control *c, u32 wait, s64 ret)
{
	struct event *event = &task->event;
	bool thread = event->pid == c->self_pid;
	bool by_file = wait == WAIT_DATA || wait == WAIT_READY_POLL || wait == WAIT_READY_PPOLL;
	u32 kind = by_file ? kind_of_file(task->wait_at) : 0;
	if (kind == S_IFREG || kind == S_IFBLK)
		return; /* nobody put it there just now */
	/* A process serves whom it likes; but a pipe, a terminal, or a lock in memory, is shared within one program. */
	bool shared = wait == WAIT_LOCK || kind == S_IFIFO || kind == S_IFCHR;
	if (!task->woken) {
		if (wait == WAIT_TURN || (wait == WAIT_OTHER && !ret))
			return; /* nothing was there */
		/* It did not sleep: what it got was there, and who put it there isn't known. */
		if (wait == WAIT_DATA ? shared || (thread && kind == S_IFSOCK) : thread)
			doubt(task, c);
		return;
	}
	if (task->woken != WOKEN_BY_OTHERS && (shared || thread)) {
		event->tag = task->woken;
		if (is_of_this_test(task->woken, c))
			task->handed_by = task->woken;
	}
	settle(task, c);
	/* Others may act for somebody, as a thread of the kernel that passes on what was written to a terminal. But what
	 * has no name, as a timer, was woken by its own clock.
	 */
	bool timer = by_file && !kind;
	if (task->woken == WOKEN_BY_OTHERS && (shared || thread) && !timer)
		doubt(task, c);
}

/* At the exit of a call that waits. */
INLINE void end_wait(struct task *task, struct control *c, s64 ret)
{
	u32 wait = task->waiting;
	struct event *event = &task->event;
	task->waiting = WAIT_NOTHING;
	/* One without a tag serves the test runner: it takes no test's work. */
	if (task->certain || !task->own_tag || is_of_this_test(task->own_tag, c))
		return;
	if (wait == WAIT_SLEEP) {
		if (event->tag == task->own_tag)
			settle(task, c);
	} else if (timed_out(task, wait, ret)) {
		event->tag = task->own_tag;
		settle(task, c);
	} else if ((wait == WAIT_LOCK && ret == -EAGAIN) || (wait == WAIT_HASTY && ret > 0)) {
		doubt(task, c);
	} else if (ret >= 0 && wait != WAIT_HASTY) {
		take_work(task, c, wait, ret);
	}
}
