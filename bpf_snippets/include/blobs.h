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

/* 0, or an error when the ring has no room. */
INLINE long emit_blob(struct blob *blob)
{
	u64 size = blob->size;
	BARRIER(size);
	if (size > sizeof(blob->data))
		size = sizeof(blob->data);
	return emit(1, blob, 16 + size, 0);
}

/* A blob of eight bytes, without the way over the scratch memory. */
INLINE long emit_word(u64 call, u8 event_kind, u8 kind, u8 arg, u64 word)
{
	struct {
		u64 call;
		u32 size;
		u8 kind, arg, flags, event_kind;
		u64 word;
	} blob = {.call = call, .size = 8, .kind = kind, .arg = arg, .event_kind = event_kind, .word = word};
	return emit(1, &blob, sizeof(blob), 0);
}
