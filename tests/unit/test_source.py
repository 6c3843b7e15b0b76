"""The snippets as BCC takes them: one text, with the kernel's layouts and without calls."""

from __future__ import annotations

from pathlib import Path

import pytest

import pytest_ebpf
from pytest_ebpf.engines import hooks, source, variant
from pytest_ebpf.engines.btf import Layout

PACKAGE = Path(pytest_ebpf.__file__).parent
SNIPPETS = next(
    folder
    for folder in (PACKAGE / "bpf_snippets", PACKAGE.parent / "bpf_snippets")
    if (folder / "include" / "events.h").exists()
)
TEXT = """
MAP_ARRAY(controls, struct control, 1, 0);
struct path {
	struct vfsmount *mnt; /* where */
	struct dentry *dentry, **others;
} PRESERVE;
struct plain {
	u32 word;
};
GLOBAL u64 identify(u64 address)
{
	return bpf_map_lookup_elem(&controls, &address);
}
GLOBAL int take(task_ref ref, bool again)
{
	return 0;
}
static long step(u64 index, struct walk *at)
{
	return 1;
}
STEP(step, walk);
SEC("raw_tp/sys_enter")
int on_sys_enter(void *ctx)
{
	struct walk *at = LOOP_STATE(walk);
	bpf_loop(9, step, at, 0);
	return identify(1);
}
"""
LAYOUTS = {"path": Layout(64, {"mnt": 8, "dentry": 24, "others": 32, "more": 40})}


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_snippets_are_understood(machine: str, old: bool) -> None:
    """All of them: every map, program and struct is found, and no include is left."""
    text = source.read(SNIPPETS, variant.SNIPPETS, machine)
    structs = source.kernel_structs(text)
    layouts = {name: Layout(512, dict.fromkeys(fields, 16)) for name, fields in structs.items()}
    found = source.translate(text, layouts, old=old)
    assert {"task_struct", "dentry", "io_kiocb"} <= structs.keys()
    assert ("regs" in structs.get("pt_regs", {})) is (machine == "aarch64")
    assert "#include" not in found.text
    assert "PRESERVE;" not in found.text
    hooks = {function.hook for function in found.functions if function.hook}
    assert {"raw_tp/sys_enter", "raw_tp/sys_exit", "iter/task"} <= hooks
    assert len(hooks) == sum(text.count(f"\n{each}") for each in ('SEC("raw_tp/', 'SEC("iter/', "AT_CALLS("))
    assert {"rings", "controls", "tasks"} <= set(found.maps)
    assert ("walk_states" in found.maps) is old


def test_programs_of_calls_that_cannot_be_preempted() -> None:
    """They sit where perf offers the calls."""
    text = source.read(SNIPPETS, variant.SNIPPETS, "x86_64")
    for preemptible, place in ((False, "raw_tp"), (True, "tp/raw_syscalls")):
        found = source.translate(text, {}, preemptible=preemptible).functions
        places = [each.hook for each in found if each.name in ("on_sys_enter", "on_sys_exit")]
        assert places == [f"{place}/sys_enter", f"{place}/sys_exit"]


@pytest.mark.parametrize(
    "kind, old, sections",
    [
        ("kprobe", False, ["kprobe/hooks"]),
        ("kprobe", True, [f"kprobe/{name}" for name in hooks.FUNCTIONS]),
        ("fentry", False, [f"fentry/{name}" for name in hooks.FUNCTIONS]),
    ],
)
def test_hooks_are_understood(kind: str, old: bool, sections: list[str]) -> None:
    """One program for all functions, or one each, as the kernel can have it; in the order of their numbers."""
    text = source.read(SNIPPETS, (*variant.SNIPPETS, "hooks"), "x86_64")
    layouts = {name: Layout(512, dict.fromkeys(fields, 16)) for name, fields in source.kernel_structs(text).items()}
    found = source.translate(text, layouts, old=old, hooks=kind)
    assert [each.hook for each in found.functions if each.hook.startswith(kind)] == sections
    assert all(f" {each.name}(" in found.text for each in found.functions)


def test_struct_has_the_kernels_layout() -> None:
    """Each field stands where the kernel has it, and the compiler is made to check that."""
    assert source.kernel_structs(TEXT) == {"path": ["mnt", "dentry", "others"]}
    text = source.translate(TEXT, LAYOUTS, old=False).text
    assert "struct { char to_dentry[24]; struct dentry *dentry; } PACKED;" in text
    assert "struct { char to_others[32]; struct dentry **others; } PACKED;" in text
    assert "char bytes_[64];" in text
    assert '_Static_assert(OFFSET(struct path, others) == 32, "as the kernel has it");' in text
    assert "struct plain {\n\tu32 word;\n};" in text


def test_functions_maps_and_callbacks_are_numbers() -> None:
    """A global function is called as a helper that no kernel has."""
    found = source.translate(TEXT, LAYOUTS, old=False)
    assert found.maps == ("controls",)
    assert found.functions == (
        source.Function("identify_body", "", 8, (8,), checked_alone=True),
        source.Function("take_body", "", 4, ("task", 1), checked_alone=True),
        source.Function("step_body", "", 8, (8, 8)),
        source.Function("on_sys_enter", "raw_tp/sys_enter", 4, (8,)),
    )
    assert "static u64 (*const identify)(u64 address) = (void *)0x7b000000;" in found.text
    assert "FUNCTION(identify_body) u64 identify_body(u64 address)\n{" in found.text
    assert "bpf_map_lookup_elem(MAP_AT(0), &address)" in found.text
    assert "#define step CALLBACK(2)" in found.text
    assert found.text.endswith("SIZE_OF(task)\n")


def test_old_kernels_have_no_callbacks_and_pass_no_pointers() -> None:
    """A step is a function that is checked alone, and its state lies in a map."""
    found = source.translate(f"{TEXT}STATE_MAP(walk);\n", LAYOUTS, old=True)
    assert found.maps == ("controls", "walk_states")
    assert found.functions == (
        source.Function("identify_body", "", 8, (8,), checked_alone=True),
        source.Function("take_body", "", 4, (8, 1), checked_alone=True),
        source.Function("step_alone_body", "", 4, (8,), checked_alone=True),
        source.Function("on_sys_enter", "raw_tp/sys_enter", 4, (8,)),
    )
    assert "LOOP_STATE_IN(walk, MAP_AT(1))" in found.text


@pytest.mark.parametrize("text", ["GLOBAL u64 f(struct odd odd)\n{", "struct odd {\n\tint (*call)(void);\n} PRESERVE;"])
def test_what_is_not_understood(text: str) -> None:
    """Is an error, and no silent mistake."""
    with pytest.raises(ValueError, match=r"not understood|neither an integer nor a pointer"):
        source.translate(text, {"odd": Layout(8, {"call": 0})}, old=False)


def test_what_bcc_does_not_take() -> None:
    """Is left out with the structs that are read there alone: no header of the kernel's has all of them."""
    text = source.read(SNIPPETS, (*variant.SNIPPETS, "hooks"), "x86_64")
    assert "bpf_rdonly_cast" not in text
    assert not {"bpf_ringbuf", "bpf_ringbuf_map", "hlist_head"} & set(source.kernel_structs(text))
    assert text.count("held_in(void *ring)") == text.count("look_at_file(u64 address") == 1
    assert text.count("\n#if") == text.count("\n#endif")
