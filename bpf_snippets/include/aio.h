/* Kernel aio: each struct iocb that an io_submit took is an event of its own.
 * Costs no other call anything.
 */
#pragma once
#include "operations.h"

#define AIO_NUMBERS 128 /* added to an opcode of aio, to tell it from those of io_uring */
#define MAX_IOCBS 256

struct iocb {
	u64 data;
	u32 key, rw_flags;
	u16 opcode;
	u16 priority;
	u32 fd;
};

struct submitted {
	u64 array;
	bool failed;
};
STATE_MAP(submitted);

static long take_iocb(u64 index, struct submitted *at)
{
	u64 pointer;
	struct iocb iocb;
	struct task *task = current_task();
	if (!task || bpf_probe_read_user(&pointer, 8, (void *)(at->array + index * 8)) ||
		bpf_probe_read_user(&iocb, sizeof(iocb), (void *)pointer)) {
		at->failed = true;
		return 1;
	}
	u16 number = AIO_NUMBERS + (iocb.opcode & (AIO_NUMBERS - 1));
	struct event *event = begin_operation(task, task->event.segment, number, iocb.fd, pointer);
	if (!event)
		return 1;
	take_operation_file(event);
	emit_operation(event);
	return 0;
}
STEP(take_iocb, submitted);

/* At the exit of io_submit: args = context, number, array of pointers; the result is how many were taken. */
INLINE void take_iocbs(struct task *task)
{
	struct event *event = &task->event;
	if (event->ret <= 0)
		return;
	struct submitted *at = LOOP_STATE(submitted);
	if (at) {
		at->array = event->args[2];
		bpf_loop(event->ret < MAX_IOCBS ? event->ret : MAX_IOCBS, take_iocb, at, 0);
	}
	if (!at || at->failed || event->ret > MAX_IOCBS)
		event->unread |= 4;
}
