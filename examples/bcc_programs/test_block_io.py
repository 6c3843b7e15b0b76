"""How long a disk takes for what a test writes, as a histogram in the test's report (pytest -rP shows it).

Needs: BCC, the tracepoints block:block_rq_issue and block:block_rq_complete, and /var/tmp on a disk. What is written to
a folder in memory, as /tmp often is, or on a network makes no block I/O.
"""

import os
import tempfile
from pathlib import Path

import pytest

PROGRAM = """
struct place { u32 dev; u64 sector; };
BPF_HASH(issued, struct place, u64);
BPF_HISTOGRAM(latency);

TRACEPOINT_PROBE(block, block_rq_issue)
{
    struct place place = {};
    place.dev = args->dev;
    place.sector = args->sector;
    u64 now = bpf_ktime_get_ns();
    if (EBPF_WINDOW())
        issued.update(&place, &now);
    return 0;
}

TRACEPOINT_PROBE(block, block_rq_complete)
{
    struct place place = {};
    place.dev = args->dev;
    place.sector = args->sector;
    u64 *when = issued.lookup(&place);
    if (when) {
        latency.atomic_increment(bpf_log2l((bpf_ktime_get_ns() - *when) / 1000));
        issued.delete(&place);
    }
    return 0;
}
"""


def save(path, content):
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@pytest.fixture
def disk():
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        yield Path(folder)


def test_a_save_reaches_the_disk(ebpf, request, disk):
    # A kernel thread may do the writing for the test, so the program asks for the window and not for the task.
    probe = ebpf.attach(PROGRAM)
    for number in range(7):
        save(disk / f"{number}.bin", os.urandom(1 << 16))
    request.node.add_report_section("call", "block I/O latency", probe["latency"].histogram("µs"))
    assert sum(probe["latency"].values()) >= 7
