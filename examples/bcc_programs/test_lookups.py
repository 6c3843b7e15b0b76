"""Which host names a program asks the C library for, however they are then resolved.

Needs: BCC and uprobes (CONFIG_UPROBE_EVENTS; /sys/bus/event_source/devices/uprobe is there).
"""

import socket

PROGRAM = """
struct lookup { char name[256]; };
BPF_PERF_OUTPUT(lookups);
BPF_PERCPU_ARRAY(scratch, struct lookup, 1);

int on_getaddrinfo(struct pt_regs *ctx)
{
    int zero = 0;
    struct lookup *lookup = scratch.lookup(&zero);
    if (!lookup || !EBPF_IN_SCOPE())
        return 0;
    bpf_probe_read_user_str(lookup->name, sizeof(lookup->name), (void *)PT_REGS_PARM1(ctx));
    lookups.perf_submit(ctx, lookup, sizeof(*lookup));
    return 0;
}
"""


def test_asks_for_localhost_alone(ebpf):
    probe = ebpf.attach(PROGRAM)
    probe.attach_uprobe(name="c", sym="getaddrinfo", fn_name="on_getaddrinfo")
    socket.getaddrinfo("localhost", 80)
    socket.getaddrinfo("127.0.0.1", 80)
    # Each processor has a buffer of its own, so they come in any order.
    assert {lookup["name"] for lookup in probe.events("lookups")} == {b"localhost", b"127.0.0.1"}
