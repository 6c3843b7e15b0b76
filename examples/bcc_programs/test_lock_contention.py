"""How long each thread of a Python program waits for locks.

Needs: BCC and the tracepoints syscalls:sys_enter_futex and syscalls:sys_exit_futex.
"""

import threading
import time

PROGRAM = """
BPF_HASH(began, u32, u64);
BPF_HASH(waited_ns, u32, u64);

TRACEPOINT_PROBE(syscalls, sys_enter_futex)
{
    u32 thread = bpf_get_current_pid_tgid();
    u64 now = bpf_ktime_get_ns();
    int command = args->op & 127;
    if ((command == 0 || command == 9) && EBPF_IN_SCOPE()) // FUTEX_WAIT, FUTEX_WAIT_BITSET
        began.update(&thread, &now);
    return 0;
}

TRACEPOINT_PROBE(syscalls, sys_exit_futex)
{
    u32 thread = bpf_get_current_pid_tgid();
    u64 *when = began.lookup(&thread);
    if (when) {
        waited_ns.increment(thread, bpf_ktime_get_ns() - *when);
        began.delete(&thread);
    }
    return 0;
}
"""
HELD_SECONDS = 0.2


def test_who_waits(ebpf):
    probe = ebpf.attach(PROGRAM)
    lock = threading.Lock()
    held = threading.Event()

    def hold():
        with lock:
            held.set()
            time.sleep(HELD_SECONDS)

    def wait():
        held.wait()
        with lock:
            pass

    holder, waiter = threading.Thread(target=hold), threading.Thread(target=wait)
    waiter.start()
    holder.start()
    holder.join()
    waiter.join()
    waited = probe["waited_ns"]
    assert waited.get(waiter.native_id, 0) >= HELD_SECONDS * 1e9 * 0.9
    assert waited.get(holder.native_id, 0) < HELD_SECONDS * 1e9 * 0.5
