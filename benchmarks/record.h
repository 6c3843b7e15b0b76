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
