/* The arguments of a program, however long: sent in pieces, which user space joins. */
#pragma once
#include "blobs.h"

#define PIECE_BYTES 4096
#define FULL_BYTES 3968 /* a blob with more in it is sent before the next piece */
#define MAX_PIECES 262144

struct argv_walk {
	u64 next;   /* where the pointer to the next string stands, or the next byte of a contiguous range */
	u64 end;    /* of a contiguous range */
	u64 string; /* the rest of the present string, 0 = begin the next one */
	u32 used;
	bool whole;
	bool lost; /* a piece found no room */
};
STATE_MAP(argv_walk);

INLINE long send_pieces(struct argv_walk *at, struct blob *blob)
{
	blob->size = at->used;
	at->used = 0;
	at->lost = emit_blob(blob);
	return at->lost;
}

/* One string of an array of pointers, or a piece of a long one. 1 ends the walk. */
static long argv_step(u64 index, struct argv_walk *at)
{
	struct blob *blob = present_blob();
	if (!blob || (at->used > FULL_BYTES && send_pieces(at, blob)))
		return 1;
	if (!at->string) {
		if (bpf_probe_read_user(&at->string, 8, (void *)at->next))
			return 1;
		if (!at->string) {
			at->whole = true;
			return 1;
		}
		at->next += 8;
	}
	u64 used = at->used;
	BARRIER(used);
	if (used > FULL_BYTES)
		return 1;
	long n = bpf_probe_read_user_str(&blob->data[used], PIECE_BYTES, (void *)at->string);
	if (n <= 0)
		return 1;
	if (n == PIECE_BYTES) { /* the string goes on where the helper put a NUL */
		at->used = used + n - 1;
		at->string += n - 1;
	} else {
		at->used = used + n;
		at->string = 0;
	}
	return 0;
}
STEP(argv_step, argv_walk);

/* A piece of a contiguous range. 1 ends the walk. */
static long range_step(u64 index, struct argv_walk *at)
{
	struct blob *blob = present_blob();
	u64 size = at->end - at->next;
	if (!blob)
		return 1;
	if (!size) {
		at->whole = true;
		return 1;
	}
	if (size > PIECE_BYTES)
		size = PIECE_BYTES;
	BARRIER(size);
	if (size > PIECE_BYTES || bpf_probe_read_user(blob->data, size, (void *)at->next))
		return 1;
	at->next += size;
	at->used = size;
	return send_pieces(at, blob);
}
STEP(range_step, argv_walk);

/* Sends the strings that an array of pointers names. False if they could not all be read. */
INLINE bool take_argv(struct event *event, u64 arg, u64 array)
{
	struct argv_walk *at = LOOP_STATE(argv_walk);
	struct blob *blob = scratch_blob(event->call, event->kind, BLOB_ARGV, arg);
	if (!at || !blob)
		return false;
	at->next = array;
	bpf_loop(MAX_PIECES, argv_step, at, 0);
	if (!at->whole)
		blob->flags |= BLOB_CUT;
	if (at->lost || send_pieces(at, blob))
		event->lost |= 2;
	return at->whole;
}

/* Sends the strings that lie one behind the other from start to end. */
INLINE void take_argv_range(struct event *event, u64 start, u64 end)
{
	struct argv_walk *at = LOOP_STATE(argv_walk);
	struct blob *blob = scratch_blob(event->call, event->kind, BLOB_ARGV, 0);
	if (!at || !blob)
		return;
	at->next = start;
	at->end = end;
	bpf_loop(MAX_PIECES, range_step, at, 0);
	if (at->lost)
		event->lost |= 2;
	if (!at->whole) {
		blob->flags |= BLOB_CUT;
		send_pieces(at, blob);
	}
}
