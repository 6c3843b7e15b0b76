/* Who was there at the start, as the kernel's task iterator shows them to who reads it: Linux 5.8, with BTF.
 * Costs nothing until somebody reads.
 */
#include "enrol.h"

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} PRESERVE;

SEC("iter/task")
int on_task_iterated(struct bpf_iter__task *ctx)
{
	ALONE;
	return enrol(ctx->task);
}
