/* Blobs: filled in memory of the processor, then copied to their ring. */
#pragma once
#include "scope.h"

INLINE struct blob *scratch_blob(u64 call, u8 event_kind, u8 kind, u8 arg)
{
	u32 zero = 0;
	struct blob *blob = bpf_map_lookup_elem(&scratch, &zero);
	if (!blob)
		return 0;
	blob->call = call;
	blob->event_kind = event_kind;
	blob->kind = kind;
	blob->arg = arg;
	blob->flags = 0;
	blob->size = 0;
	return blob;
}

/* The one that scratch_blob gave, as it is. */
INLINE struct blob *present_blob(void)
{
	u32 zero = 0;
	return bpf_map_lookup_elem(&scratch, &zero);
}

/* Emits the blob that scratch_blob gave, with `size` bytes of data. A global function, verified once in each program. */
SMALL int emit_scratch(u64 size)
{
	struct blob *blob = present_blob();
	if (!blob)
		return -1;
	if (size > sizeof(blob->data))
		size = sizeof(blob->data);
	BARRIER(size);
	if (size > sizeof(blob->data))
		return -1;
	return write_blob(session(), blob, BLOB_HEADER_BYTES + size);
}

/* 0, or an error when the ring has no room. */
INLINE long emit_blob(struct blob *blob)
{
	return emit_scratch(blob->size);
}

/* A blob of eight bytes, without the way over the scratch memory. 0, or an error. */
SMALL int emit_word(u64 call, u64 event_kind, u64 kind, u64 arg, u64 word)
{
	struct {
		u64 call;
		u32 size;
		u8 kind, arg, flags, event_kind;
		u64 word;
	} blob = {.call = call, .size = 8, .kind = kind, .arg = arg, .event_kind = event_kind, .word = word};
	return write_blob(session(), &blob, sizeof(blob));
}
