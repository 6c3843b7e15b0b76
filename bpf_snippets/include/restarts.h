/* Calls that a signal broke off and that the kernel makes again, without a handler having run: as when a child ends while
 * the thread that waits for it holds signals back, and another one is woken for SIGCHLD, which nobody handles. What the
 * kernel makes again is the call of before: it belongs to the segment in which that began.
 * Costs a call a look at one byte.
 */
#pragma once
#include "scope.h"

#define ERESTARTSYS 512
#define ERESTARTNOHAND 514
#define ERESTART_RESTARTBLOCK 516

enum restart {
	RESTART_NONE = 0,
	RESTART_SAME = 1,  /* the kernel makes the same call again, unless a handler comes first */
	RESTART_BLOCK = 2, /* as restart_syscall */
};

INLINE bool is_foreign(void)
{
	struct task_struct *current = bpf_get_current_task_btf();
	return FOREIGN_ABI_WORD(current) & FOREIGN_ABI_BITS;
}

INLINE bool is_broken_off(s64 ret)
{
	return ret == -ERESTART_RESTARTBLOCK || (ret <= -ERESTARTSYS && ret >= -ERESTARTNOHAND);
}

/* At the exit of a call that was broken off. */
INLINE void expect_restart(struct task *task, struct pt_regs *regs, u8 state, s64 ret)
{
	struct event *event = &task->event;
	bool block = ret == -ERESTART_RESTARTBLOCK;
	u32 nr = number_at_exit(regs);
	if (nr >= CALL_NUMBERS || is_foreign())
		return;
	if (state != TASK_RECORDED) {
		event->nr = nr;
		read_args(event->args, regs);
	}
	task->restart_segment = state == TASK_RECORDED ? event->segment : 0;
	task->restart = block ? RESTART_BLOCK : RESTART_SAME;
}

/* At the entry of a call: whether it is the one before, once more. */
INLINE bool goes_on_with(struct task *task, struct pt_regs *regs, u32 nr)
{
	u8 restart = task->restart;
	if (!restart)
		return false;
	task->restart = RESTART_NONE;
	u64 args[CALL_ARGS];
	u64 differs = nr ^ (restart == RESTART_BLOCK ? NR_RESTART_SYSCALL : task->event.nr);
	read_args(args, regs);
	for (u32 i = 0; i < CALL_ARGS; i++)
		differs |= args[i] ^ task->event.args[i];
	return !differs && !is_foreign();
}
