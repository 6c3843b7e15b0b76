/* What a program is made of, each part in a program of its own: price.py has the kernel measure how long each runs. */
#include "record.h"

struct task_struct {
	int pid;
	char comm[16];
} PRESERVE;

MAP_ARRAY(array, struct record, 64, 0);

SEC("raw_tp/sys_enter")
int on_nothing(struct bpf_raw_tracepoint_args *ctx)
{
	return 0;
}

SEC("raw_tp/sys_enter")
int on_clock(struct bpf_raw_tracepoint_args *ctx)
{
	return bpf_ktime_get_ns() == 1;
}

SEC("raw_tp/sys_enter")
int on_thread(struct bpf_raw_tracepoint_args *ctx)
{
	struct task_struct *current = bpf_get_current_task_btf();
	u64 *name = (u64 *)FIELD(current, comm);
	return (current->pid ^ name[0] ^ name[1]) == 1;
}

SEC("raw_tp/sys_enter")
int on_load(struct bpf_raw_tracepoint_args *ctx)
{
	struct pt_regs *regs = CAST(pt_regs, ctx->args[0]);
	return regs->di == 1;
}

SEC("raw_tp/sys_enter")
int on_look_up(struct bpf_raw_tracepoint_args *ctx)
{
	u32 key = ctx->args[1] & 63;
	struct record *record = bpf_map_lookup_elem(&array, &key);
	return record && record->words[0] == 1;
}

SEC("raw_tp/sys_enter")
int on_read(struct bpf_raw_tracepoint_args *ctx)
{
	u64 words[8];
	return bpf_probe_read_kernel(words, sizeof(words), (void *)ctx->args[0]) == 1;
}

SEC("raw_tp/sys_enter")
int on_write(struct bpf_raw_tracepoint_args *ctx)
{
	u32 key = 0;
	struct record *record = bpf_map_lookup_elem(&array, &key);
	return record ? bpf_ringbuf_output(&ring, record, sizeof(*record), BPF_RB_NO_WAKEUP) == 1 : 0;
}

SEC("raw_tp/sys_enter")
int on_own_write(struct bpf_raw_tracepoint_args *ctx)
{
	u32 key = 0;
	struct record *record = bpf_map_lookup_elem(&array, &key);
	if (record)
		write_to_places(record);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
