/* The least that could be called a record: the two times of a call, its arguments, its result and the thread's name, of
 * threads that are told apart by their ids. No window, no owner, no path: what the recorder adds is above this.
 * With OWN it is written to an array, in the place of the kernel's ring buffer, without what wakes a reader and finds
 * it full.
 */
#include "record.h"

struct task_struct {
	int pid;
	char comm[16];
} PRESERVE;

MAP_ARRAY(records, struct record, 64, 0);
MAP_ARRAY(slots, u64, 1 << 20, BPF_F_MMAPABLE); /* a number of 16 bits for each thread id */

#if defined(OWN)
#define write_record write_to_places
#else
INLINE void write_record(struct record *record)
{
	bpf_ringbuf_output(&ring, record, sizeof(*record), BPF_RB_NO_WAKEUP);
}
#endif

INLINE struct record *record_of(struct task_struct *current)
{
	u32 tid = current->pid;
	u32 key = tid >> 2 & ((1 << 20) - 1);
	u64 *quad = bpf_map_lookup_elem(&slots, &key);
	u32 slot = quad ? *quad >> (tid & 3) * 16 & 0xFFFF : 0;
	return slot ? bpf_map_lookup_elem(&records, &slot) : 0;
}

SEC("raw_tp/sys_enter")
int least_enter(struct bpf_raw_tracepoint_args *ctx)
{
	struct record *record = record_of(bpf_get_current_task_btf());
	if (!record)
		return 0;
	struct pt_regs *regs = CAST(pt_regs, ctx->args[0]);
	record->words[0] = bpf_ktime_get_ns();
	record->words[1] = ctx->args[1];
	read_args(&record->words[2], regs);
	return 0;
}

SEC("raw_tp/sys_exit")
int least_exit(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *current = bpf_get_current_task_btf();
	struct record *record = record_of(current);
	if (!record)
		return 0;
	record->words[10] = bpf_ktime_get_ns();
	record->words[11] = ctx->args[1];
	u64 *name = (u64 *)FIELD(current, comm);
	record->words[12] = name[0];
	record->words[13] = name[1];
	write_record(record);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
