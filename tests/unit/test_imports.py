"""How the modules hang together."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_ebpf

PACKAGE = Path(pytest_ebpf.__file__).parent
MODULES = sorted(["pytest_ebpf", *(info.name for info in pkgutil.walk_packages(pytest_ebpf.__path__, "pytest_ebpf."))])
# A module may import those of lower layers, and of its own.
LAYERS = [
    ["alike", "attachment", "errors", "events", "sizes", "step", ""],
    ["syscalls", "features"],
    ["notation", "files", "effects", "names"],
    ["decode"],
    ["match", "links", "hooks", "mappings"],
    ["inside", "mounts", "report"],
    ["question"],
    ["counting", "destinations", "durability", "leaks", "ordering", "places", "programs"],
    ["rules"],
    ["assertions", "scope"],
    ["engines.base", "engines._ffi", "engines.meanwhile"],
    ["engines.spool", "engines.shapes"],
    ["engines.ring", "engines.loader", "engines.variant", "engines.btf", "engines.kernel", "engines.compiler"],
    ["engines.hooks"],
    ["engines.source", "engines.libbpf", "engines.headers", "engines.attacher"],
    ["engines.linker"],
    ["engines.layouts", "engines.roll_call"],
    ["engines.bcc"],
    ["engines.keeper", "engines.run_keeper"],
    ["engines"],
    ["integrity", "store"],
    ["session"],
    ["probes"],
    ["recording", "late", "handover"],
    ["testing", "options", "markers", "sources", "hookspecs", "exports", "summary", "ways", "standalone"],
    ["canary", "doctor", "trace"],
    ["cli"],
    ["terminal"],
    ["clauses", "amendments", "snippets"],
    ["checks"],
    ["policy"],
    ["stash"],
    ["phases", "exit", "runtest"],
    ["fixtures"],
    ["plugin"],
]


def tree(module: str) -> ast.Module:
    """A module's syntax."""
    found = importlib.util.find_spec(module)
    assert found is not None
    assert found.origin is not None
    return ast.parse(Path(found.origin).read_text(encoding="utf-8"))


def imports(module: str, *, lazy: bool) -> set[str]:
    """Full names of the modules that a module imports, without those for type checkers alone."""
    parts = module.split(".")
    is_package = (PACKAGE.parent / Path(*parts)).is_dir()
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not lazy:
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = parts[: len(parts) - node.level + is_package] if node.level else []
            origin = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                name = f"{origin}.{alias.name}"
                found.add(name if name in MODULES else origin)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree(module))
    return found


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_one_way(module: str) -> None:
    """From the plugin over the recording to the engines, at any depth of a module."""
    heights = {name: height for height, layer in enumerate(LAYERS) for name in layer}

    def height(name: str) -> int:
        return heights[name.removeprefix("pytest_ebpf").removeprefix(".")]

    above = [name for name in imports(module, lazy=True) if name in MODULES and height(name) > height(module)]
    assert above == []


@pytest.mark.parametrize(
    "module", ["events", "files", "match", "errors", "notation", "syscalls", "decode", "scope", "report"]
)
def test_the_pure_part(module: str) -> None:
    """It needs neither pytest nor ctypes, not even by way of another module."""
    program = f"import sys, pytest_ebpf.{module}; print(*{{'pytest', '_pytest', 'ctypes'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    "module", ["session", "recording", "assertions", "engines.keeper", "engines.libbpf", "testing"]
)
def test_only_the_plugin_needs_pytest(module: str) -> None:
    """The recorder works without it, as the keeper process must."""
    program = f"import sys, pytest_ebpf.{module}; print(*{{'pytest', '_pytest'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_ctypes_is_imported_in_few_places() -> None:
    """In the engines and what is made for them, and in the canary and the doctor's ways round Python."""
    users = {module for module in MODULES if "ctypes" in imports(module, lazy=True)}
    engines = {f"engines.{name}" for name in ("_ffi", "attacher", "headers", "hooks", "kernel", "libbpf", "loader")}
    assert users == {f"pytest_ebpf.{name}" for name in (*engines, "canary", "ways")}


@pytest.mark.parametrize("module", MODULES)
def test_all_is_sorted_and_true(module: str) -> None:
    """Every module says what is public: classes and constants as ruff sorts them, each once, each there."""
    names = importlib.import_module(module).__all__
    assert len(set(names)) == len(names)
    constants = [name for name in names if name.isupper()]
    classes = [name for name in names if not name.isupper() and name[0].isupper()]
    functions = [name for name in names if name[0].islower()]
    assert names == sorted(constants) + sorted(classes) + sorted(functions)
    for name in names:
        assert hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize("module", MODULES)
def test_public_things_are_described(module: str) -> None:
    """A docstring for the module, its public classes and functions, and their public methods."""
    loaded = importlib.import_module(module)
    assert loaded.__doc__
    for name in loaded.__all__:
        thing = getattr(loaded, name)
        if getattr(thing, "__module__", None) != module:
            continue
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert thing.__doc__, name
        if inspect.isclass(thing):
            for method, value in vars(thing).items():
                function = value.fget if isinstance(value, property) else value
                named = inspect.isfunction(function) and function.__name__ == method
                assert method.startswith("_") or not named or value.__doc__, f"{name}.{method}"


@pytest.mark.parametrize("module", MODULES)
def test_module_docstring_begins_with_a_sentence(module: str) -> None:
    """One line that says what the module is."""
    text = ast.get_docstring(tree(module))
    assert text is not None
    assert text.splitlines()[0].rstrip().endswith((".", ":")), text.splitlines()[0]
