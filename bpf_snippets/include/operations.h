/* Events of operations that are no system calls: on an io_uring, or a struct iocb of kernel aio. */
#pragma once
#include "arguments.h"

MAP_PERCPU(operations, struct event);

/* The event that begin_operation gave. */
INLINE struct event *present_operation(void)
{
	u32 zero = 0;
	return bpf_map_lookup_elem(&operations, &zero);
}

/* An event for one operation of the task, in memory of the processor. */
INLINE struct event *begin_operation(struct task *task, u32 segment, u16 number, s32 fd, u64 seed)
{
	struct event *event = present_operation();
	if (!event)
		return 0;
	__builtin_memset(event, 0, sizeof(*event));
	event->kind = EVENT_RING;
	event->entry_ns = event->exit_ns = bpf_ktime_get_ns();
	event->call = 1ull << 62 | mix(seed, event->entry_ns) >> 2;
	event->image = task->event.image;
	event->pid = task->event.pid;
	event->tid = task->event.tid;
	event->segment = segment;
	event->tag = task->event.tag;
	event->since = task->event.since;
	event->nr = number;
	event->args[0] = fd;
	bpf_get_current_comm(event->comm, sizeof(event->comm));
	return event;
}

INLINE void take_operation_file(struct event *event)
{
	struct file *file = file_of(event->args[0]);
	event->file = file ? identify((u64)file) : 0;
}

INLINE void emit_operation(struct event *event)
{
	struct control *c = control();
	if (write_event(session(), event, SPARE_BYTES) && c)
		ADD(&c->lost_ring_operations, 1);
}
