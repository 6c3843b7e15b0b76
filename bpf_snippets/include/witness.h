/* What is known of the call that a task is in, for the kernel's hooks to compare with: see hooks.bpf.c.
 * Costs a call that passes a socket address one lookup of its descriptor and a copy, and any other nothing.
 */
#pragma once
#include "task.h"

#define ADDRESS_BYTES 128 /* sizeof(struct sockaddr_storage) */

struct witness {
	u64 address_call; /* the call that passed the address below */
	u64 socket;       /* the struct file that its descriptor stood for */
	u64 size;
	u64 address[ADDRESS_BYTES / 8]; /* zeros behind it */
	u64 open_call;                  /* the call in which the kernel opened the file below */
	u64 opened;                     /* its identity */
	u64 created;
	u64 room_call; /* the call that waits for an address */
	u64 room;      /* of so many bytes: the kernel writes no more, but tells the length of the whole */
};
MAP_ARRAY(witnesses, struct witness, TASK_SLOTS, 0); /* by task slot */

/* That of a call: its number begins with the task's slot. */
INLINE struct witness *witness_of(struct event *event)
{
	u32 slot = event->call >> 40;
	return slot < TASK_SLOTS ? bpf_map_lookup_elem(&witnesses, &slot) : 0;
}

/* How long an address can be that the call passed, or was given. */
INLINE u64 room_of(struct event *event)
{
	struct witness *witness = witness_of(event);
	return witness && witness->room_call == event->call ? witness->room : ~0ull;
}

/* The blob is the address that the call passed, as it was when it began. */
INLINE void remember_address(struct event *event, struct blob *blob)
{
	struct witness *witness = witness_of(event);
	u64 size = blob->size;
	BARRIER(size);
	if (!witness || size > ADDRESS_BYTES)
		return;
	__builtin_memset(witness->address, 0, sizeof(witness->address));
	bpf_probe_read_kernel(witness->address, size, blob->data);
	witness->size = size;
	witness->socket = (u64)file_of(event->args[0]);
	witness->address_call = event->call;
}

/* The identity of the file that this call opened, if a hook saw it; else 0. */
INLINE u64 witnessed_open(struct event *event)
{
	struct witness *witness = witness_of(event);
	if (!witness || witness->open_call != event->call)
		return 0;
	if (witness->created)
		event->flags |= EVENT_CREATED;
	return witness->opened;
}
