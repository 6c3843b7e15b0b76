/* The two rings of each session, which its keeper makes: one for events, one for blobs.
 * That of blobs is a ring buffer of the kernel's. That of events is our own memory where the kernel has what it takes, as
 * a write to it costs a tenth; else one of the kernel's, too.
 */
#pragma once
#include "events.h"

#if !defined(OLD_KERNEL) && !defined(BCC) /* whose compiler has no addition in one step that tells what was there */
#define OWN_RING
#endif

MAP_RINGS(rings, 2 * SESSIONS); /* of each session: one for events, if it is the kernel's, and one for blobs */

/* How many bytes of a ring nobody has read yet; the reader's position is loaded first, so that it may seem to be more,
 * never less. The two stand pages apart: too far for the offset in a load where pages are large.
 */
#if defined(CASTS)
struct bpf_ringbuf {
	unsigned long consumer_pos, producer_pos;
} PRESERVE;
struct bpf_ringbuf_map {
	struct bpf_ringbuf *rb;
} PRESERVE;
INLINE u64 held_in(void *ring)
{
	void *buffer = LOAD(bpf_ringbuf_map, ring, rb);
	u64 read_at = OFFSET(struct bpf_ringbuf, consumer_pos);
	u64 written_at = OFFSET(struct bpf_ringbuf, producer_pos);
	BARRIER(read_at);
	BARRIER(written_at);
	u64 read = *(volatile u64 *)(buffer + read_at);
	return *(volatile u64 *)(buffer + written_at) - read;
}
#else
INLINE u64 held_in(void *ring)
{
	return bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA);
}
#endif

/* Whether a record wakes the keeper: those do that begin close behind another quarter of a ring of that room, and not
 * each beyond it. One of them would not do: two processors may look at the same time, see that neither's record reaches
 * the quarter, and pass it together. There are fewer processors than records in those WAKE_BYTES: 800 events, and 16
 * blobs even if all are as large as can be.
 */
INLINE bool wakes(u64 held, u64 room, u64 near)
{
	u64 quarter = room / 4;
	return held >= quarter && (held & (quarter - 1)) < near;
}

/* Writes to one of the kernel's ring buffers, unless less than `spare` bytes would be left. */
INLINE long write_to(u32 index, void *data, u64 size, u64 room, u64 spare)
{
	void *to = bpf_map_lookup_elem(&rings, &index);
	if (!to)
		return -1;
	u64 held = held_in(to);
	if (spare && held + 8 + ((size + 7) & ~7ull) + spare > room)
		return -1;
	return bpf_ringbuf_output(
		to, data, size, wakes(held, room, WAKE_BYTES) ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

INLINE long write_blob(u32 session, void *data, u64 size)
{
	return write_to(2 * session + 1, data, size, BLOBS_BYTES, 0);
}

#if defined(OWN_RING)
/* A place of the ring. Its lap is stored last, and tells that the event of that way round is there: the one before it
 * had a smaller one.
 */
struct place {
	u64 lap; /* from 1 */
	struct event event;
};
/* Behind the places, in a page of its own, how many events were read and how many written, since ever. */
struct ends {
	u64 read;
	u64 pad[7]; /* another line of the processor's cache */
	u64 written;
};
_Static_assert(sizeof(struct ends) <= sizeof(struct place), "lies in one place");
_Static_assert(EVENT_PLACES * sizeof(struct place) % 65536 == 0, "a page begins behind the places");

/* An array is the same kind as one of another length only if it may be another map's element. */
MAP_OF_ARRAYS(event_rings, struct place, SESSIONS);

/* So many, and not more, as a wake takes far longer than an event. Here numbers tell exactly which events are behind a
 * quarter, but that the reader may move on after a program has looked where it is: hence more than one.
 */
#define WAKE_PLACES 16

/* By a record in the ring of blobs, which is given up, and which readers pass over as they do any: with a header. Is that
 * ring full, the keeper looks every moment anyway.
 */
INLINE void wake_keeper(u32 session)
{
	u32 index = 2 * session + 1;
	void *ring = bpf_map_lookup_elem(&rings, &index);
	void *record = ring ? bpf_ringbuf_reserve(ring, BLOB_HEADER_BYTES, 0) : 0;
	if (record)
		bpf_ringbuf_discard(record, BPF_RB_FORCE_WAKEUP);
}

/* Writes an event, unless less than `spare` bytes would be left. Whoever sees that there is room takes the next place
 * in a second step, so that others may have taken it meanwhile: as many as there are tasks. So that much is left.
 */
INLINE long write_event(u32 session, struct event *event, u64 spare)
{
	void *ring = bpf_map_lookup_elem(&event_rings, &session);
	if (!ring)
		return -1;
	u32 index = EVENT_PLACES;
	struct ends *ends = bpf_map_lookup_elem(ring, &index);
	if (!ends)
		return -1;
	u64 read = *(volatile u64 *)&ends->read;
	u64 held =
		*(volatile u64 *)&ends->written - read; /* less than 0 where the processor loads the second one first */
	if ((s64)(held + TASK_SLOTS + spare / sizeof(struct place)) > EVENT_PLACES)
		return -1;
	u64 number = FETCH_ADD(&ends->written, 1);
	index = number & (EVENT_PLACES - 1);
	struct place *place = bpf_map_lookup_elem(ring, &index);
	if (!place)
		return -1;
	place->event = *event;
	STORE_LAST(&place->lap, number / EVENT_PLACES + 1);
	if (wakes(number - read, EVENT_PLACES, WAKE_PLACES))
		wake_keeper(session);
	return 0;
}
#else
/* Writes an event, unless less than `spare` bytes would be left. */
INLINE long write_event(u32 session, struct event *event, u64 spare)
{
	return write_to(2 * session, event, sizeof(*event), EVENTS_BYTES, spare);
}
#endif
