"""How many pages a piece of code touches for the first time.

Needs: BCC. The kernel counts page faults in software, so a virtual machine without a PMU does as well.
"""

import mmap

PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS = 1, 2

PROGRAM = """
BPF_ARRAY(faults, u64, 1);

int on_page_fault(struct bpf_perf_event_data *ctx)
{
    if (EBPF_IN_SCOPE())
        faults.atomic_increment(0);
    return 0;
}
"""


def fill(memory, pages):
    for page in range(pages):
        memory[page * mmap.PAGESIZE] = 1


def test_a_page_faults_once(ebpf):
    probe = ebpf.attach(PROGRAM)
    probe.attach_perf_event(
        ev_type=PERF_TYPE_SOFTWARE, ev_config=PERF_COUNT_SW_PAGE_FAULTS, fn_name="on_page_fault", sample_period=1
    )
    with mmap.mmap(-1, 97 * mmap.PAGESIZE) as memory:
        memory.madvise(mmap.MADV_NOHUGEPAGE)
        before = probe["faults"][0]
        fill(memory, 97)
        first = probe["faults"][0]
        fill(memory, 97)
        second = probe["faults"][0]
    assert first - before >= 97
    assert second - first < 97
