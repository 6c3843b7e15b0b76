/* Who was there at the start, where the kernel has no BTF and so no iterators: who asks writes to each task's
 * oom_score_adj what stands in it already, and this tracepoint is given the task. Since before Linux 5.8.
 * Costs nothing but where some process sets that score.
 */
#include "enrol.h"

/* The calling process, as its own PID namespace counts: others may set that score meanwhile. */
INLINE bool is_caller(struct enrolment *order)
{
	struct bpf_pidns_info self = {};
	return !bpf_get_ns_current_pid_tgid(order->ns_dev, order->ns_inode, &self, sizeof(self)) &&
	       self.tgid == order->caller;
}

SEC("raw_tp/oom_score_adj_update")
int on_task_called(struct bpf_raw_tracepoint_args *ctx)
{
	ALONE;
	u32 zero = 0;
	struct enrolment *order = bpf_map_lookup_elem(&enrolments, &zero);
	return order && is_caller(order) ? enrol((void *)ctx->args[0]) : 0;
}
