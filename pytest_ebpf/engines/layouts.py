"""Where the fields of the kernel's structs are, by its headers: for a kernel that has no BTF to tell it.

BCC's compiler reads the headers: in a function that is never run it stores the offsets, which are read from its code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from . import linker
from .btf import Layout

__all__ = ["describe", "functions", "read"]

INCLUDES = (
    "generated/utsrelease.h",
    "linux/ptrace.h",
    "linux/sched.h",
    "linux/sched/signal.h",
    "linux/fs.h",
    "linux/dcache.h",
    "linux/list_bl.h",
    "linux/mount.h",
    "linux/path.h",
    "linux/fdtable.h",
    "linux/fs_struct.h",
    "linux/pid.h",
    "linux/mm_types.h",
    "linux/binfmts.h",
    "linux/net.h",
    "linux/socket.h",
    "linux/openat2.h",
    "linux/version.h",
    "net/sock.h",
    "net/af_unix.h",
)
TEXT = """
#if defined(CONFIG_RANDSTRUCT) || defined(CONFIG_GCC_PLUGIN_RANDSTRUCT)
#error "this kernel's structs are in an order that its headers don't tell (CONFIG_RANDSTRUCT)"
#endif
/* As in 5.10, 6.1, 6.12 and 6.18. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 8, 0) || LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
#define BEHIND_MOUNT 168
#else
#define BEHIND_MOUNT 176
#endif
/* In none of the headers that are installed. */
struct mount {
	struct hlist_node mnt_hash;
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
	char others[BEHIND_MOUNT];
	struct mnt_namespace *mnt_ns;
};
#define SEC(name) __attribute__((section(name), used))
#define FUNCTION(name) SEC(".bpf.fn." #name)
"""


def functions(wanted: Mapping[str, Sequence[str]]) -> list[str]:
    """The names of the functions in `describe`."""
    return [f"layout_{name}" for name in wanted]


def describe(wanted: Mapping[str, Sequence[str]], release: str) -> str:
    """A text in C that tells the size of structs and where these fields are, and takes no other release's headers."""
    parts = [*(f"#include <{name}>\n" for name in INCLUDES), TEXT]
    parts.append(f'_Static_assert(!__builtin_strcmp(UTS_RELEASE, "{release}"), "headers of another kernel");\n')
    for function, (name, fields) in zip(functions(wanted), wanted.items(), strict=True):
        places = [f"sizeof(struct {name})", *(f"__builtin_offsetof(struct {name}, {each})" for each in fields)]
        stores = "".join(f"\tout[{number}] = {place};\n" for number, place in enumerate(places))
        parts.append(f"FUNCTION({function}) int {function}(u64 *out)\n{{\n{stores}\treturn 0;\n}}\n")
    return "".join(parts)


def read(codes: Mapping[str, bytes], wanted: Mapping[str, Sequence[str]]) -> dict[str, list[Layout]]:
    """What the compiled text tells."""
    found = {}
    for function, (name, fields) in zip(functions(wanted), wanted.items(), strict=True):
        stored = linker.stores(codes[function])
        offsets = {each: stored[8 * number] for number, each in enumerate(fields, 1)}
        found[name] = [Layout(stored[0], offsets)]
    return found
