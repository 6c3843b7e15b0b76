"""Segments that TCP had to send again, here because a server accepts nobody.

Needs: BCC and the tracepoint tcp:tcp_retransmit_skb (Linux 4.16).
"""

import socket

PROGRAM = """
#include <linux/tcp.h>
BPF_HASH(retransmits, u16, u64);

TRACEPOINT_PROBE(tcp, tcp_retransmit_skb)
{
    u16 port = args->dport;
    if (EBPF_WINDOW())
        retransmits.atomic_increment(port);
    return 0;
}
"""


def test_a_server_that_accepts_nobody(ebpf):
    # TCP sends again from a timer, in whichever task's time: so the port tells whose segment it was.
    probe = ebpf.attach(PROGRAM)
    clients = []
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        while probe["retransmits"].get(port, 0) == 0 and len(clients) < 20:
            client = socket.socket()
            clients.append(client)
            client.settimeout(2)  # the first retransmit comes after one second
            try:
                client.connect(("127.0.0.1", port))
            except TimeoutError:
                continue
        assert probe["retransmits"][port] >= 1
    for client in clients:
        client.close()
