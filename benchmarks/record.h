/* What programs here write in the place of an event, and where to. */
#pragma once
#include "snippet.h"

struct record {
	u64 words[18]; /* the size of a struct event */
};
struct {
	int (*type)[BPF_MAP_TYPE_RINGBUF];
	int (*max_entries)[1 << 26];
} ring SEC(".maps");

/* In the place of that: memory of one's own. */
#define PLACES (1 << 18)
struct place {
	u64 number; /* of the record, once it is whole */
	struct record record;
};
MAP_ARRAY(places, struct place, PLACES, BPF_F_MMAPABLE);
MAP_ARRAY(written, u64, 1, BPF_F_MMAPABLE);

INLINE void write_to_places(struct record *record)
{
	u32 zero = 0;
	u64 *count = bpf_map_lookup_elem(&written, &zero);
	if (!count)
		return;
	u64 number = FETCH_ADD(count, 1);
	u32 index = number & (PLACES - 1);
	struct place *place = bpf_map_lookup_elem(&places, &index);
	if (!place)
		return;
	place->record = *record;
	STORE_LAST(&place->number, number + 1);
}
