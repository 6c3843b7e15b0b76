"""The first lines of the keeper process: it begins to load the programs, and imports meanwhile what serves them.

Run as a script: ``python -I -S run_keeper.py ENGINE CHANNEL LISTENER PIDFD BYTES``.
"""

from __future__ import annotations

import os
import sys

__all__: list[str] = []

PACKAGE = os.path.abspath(f"{__file__}/../..")  # noqa: PTH100 (pathlib is slow to import)
DESCRIPTORS = 60
"""So many are enough to load the programs and to serve one session."""
PRIORITY = -15
"""What the keeper would have: it works for moments, and while it waits tests wait for it, or rings fill up."""
SWITCH_SECONDS = 0.0001
"""How long a thread that could go on waits for the other one."""


def main(name: str, channel: int, listener: int, owner: int, memory: int) -> None:
    """The life of the keeper, apart from its parent: start, answer, and hold on until the last owner ends."""
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    _hurry()
    sys.path.insert(0, os.path.dirname(PACKAGE))  # noqa: PTH120
    # The packages without what they import for others.
    for package, folder in (("pytest_ebpf", PACKAGE), ("pytest_ebpf.engines", f"{PACKAGE}/engines")):
        sys.modules[package] = bare = type(sys)(package)
        bare.__path__ = [folder]
    sys.setswitchinterval(SWITCH_SECONDS)
    from pytest_ebpf.engines.meanwhile import Meanwhile

    _make_room()
    engine = _engine(name)
    loading = Meanwhile(engine.start)
    from pytest_ebpf.engines.keeper import keep

    keep(engine, loading, channel, listener, owner, memory)


def _hurry() -> None:
    """Have this process run before others; without the privilege, a busy machine may let it wait."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, PRIORITY)
        # Where the kernel gives each session the same share, that alone counts among its own processes only.
        with open("/proc/self/autogroup", "w") as group:  # noqa: PTH123
            group.write(str(PRIORITY))
    except OSError:
        pass


def _make_room() -> None:
    """Allow this process as many descriptors as it may have; end it where they are too few, lest it ends anywhere."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < DESCRIPTORS:
        sys.exit(f"it needs {DESCRIPTORS} file descriptors, and may have {most}: see ulimit -n")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _engine(name: str):  # type: ignore[no-untyped-def]
    if name == "libbpf":
        from pytest_ebpf.engines.libbpf import LibbpfEngine

        return LibbpfEngine()
    from pytest_ebpf.engines.bcc import BccEngine

    return BccEngine()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
