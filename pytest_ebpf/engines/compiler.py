"""The distribution's BCC, as a compiler: it runs in a process of its own, as LLVM takes 120 MB and prints to stderr.

Run as a script (``python -I -S compiler.py``) this file is that process; imported it is the client.
"""

from __future__ import annotations

import importlib.util
import json
import operator
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["CompilerFailed", "NoCompiler", "compile_functions", "load_package", "version"]

HEADERS = Path(__file__).parent / "bcc_headers"
GUARDS = ("__BPF_HELPERS_H", "_UAPI__LINUX_BPF_H__", "__LINUX_BPF_H__")
"""With these set, BCC's own headers are empty: the snippets need none, and the kernel's need not be there."""
SECONDS = 120
NEEDED = (
    "BPF.dump_func",
    "BPF.get_syscall_fnname",
    "BPF.perf_buffer_poll",
    "BPF.ring_buffer_consume",
    "USDT",
    "table.PerfEventArray",
    "table.RingBuf",
)
"""What is used of BCC."""


class NoCompiler(Exception):
    """BCC is not here, or can't be loaded."""


class CompilerFailed(Exception):
    """BCC refused the text; the argument is what it printed."""


def load_package(package: Path) -> Any:
    """Import that one package, without opening the folder's others to this interpreter.

    Raises ImportError if it isn't the BCC that this plugin is written for.
    """
    spec = importlib.util.spec_from_file_location(
        "bcc", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bcc"] = module
    spec.loader.exec_module(module)
    for name in NEEDED:
        try:
            operator.attrgetter(name)(module)
        except AttributeError:
            raise ImportError(
                f"BCC {version(package)} has no {name}, so it is too old or too new (0.26 is known to do)"
            ) from None
    return module


def version(package: Path) -> str:
    """BCC's version, without loading it."""
    text = (package / "version.py").read_text(encoding="utf-8", errors="replace")
    return text.partition("=")[2].strip().strip("'\"") or "unknown"


def compile_functions(
    package: Path, text: str, names: Sequence[str], defines: Sequence[str], *, headers: bool = False
) -> dict[str, bytes]:
    """The machine code of each named function. ``headers``: those of the running kernel are included.

    Raises NoCompiler or CompilerFailed.
    """
    request = {
        "package": str(package),
        "text": text,
        "names": list(names),
        "defines": list(defines),
        "headers": headers,
    }
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", __file__],
        input=json.dumps(request).encode(),
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    messages = done.stderr.decode(errors="replace").strip()
    if done.returncode == 2:
        raise NoCompiler(messages)
    if done.returncode != 0:
        raise CompilerFailed(messages or f"it ended with status {done.returncode}")
    return {name: bytes.fromhex(code) for name, code in json.loads(done.stdout).items()}


def _main() -> None:
    request = json.loads(sys.stdin.buffer.read())
    try:
        bcc = load_package(Path(request["package"]))
    except Exception as error:
        sys.stderr.write(f"{type(error).__name__}: {error}")
        sys.exit(2)
    text = request["text"]
    flags = [f"-D{name}" for name in (*GUARDS, "BCC_SEC=SEC", *request["defines"])]
    if request["headers"]:
        for name in ("BCC_KERNEL_SOURCE", "BCC_LINUX_VERSION_CODE"):  # which would name others
            os.environ.pop(name, None)
        flags.append("-w")  # they are full of what another compiler doesn't know
        text = "".join(f"#undef {name}\n" for name in GUARDS) + text
    else:
        os.environ["BCC_KERNEL_SOURCE"] = str(HEADERS)
    # Included, the text is not what BCC takes for the user's: it rewrites nothing.
    file = os.memfd_create("snippets")
    with open(file, "w", encoding="utf-8", closefd=False) as snippets:
        snippets.write(text)
    try:
        module = bcc.BPF(text=f'#include "/proc/self/fd/{file}"\n', cflags=flags)
    except Exception:
        sys.exit(1)  # the compiler has printed why
    codes = {name: module.dump_func(name.encode()).hex() for name in request["names"]}
    sys.stdout.write(json.dumps(codes))


if __name__ == "__main__":
    _main()
