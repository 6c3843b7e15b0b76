/* All programs of the recorder in one object, so that the kernel's types are looked up once.
 * Since which kernel and at what cost: see each of them.
 */
#include "syscalls.bpf.c"

#include "process.bpf.c"

#include "iterator.bpf.c"

#include "io_uring.bpf.c"

#if defined(KPROBE) || defined(FENTRY)
#include "hooks.bpf.c"
#endif

char LICENSE[] SEC("license") = "GPL";
