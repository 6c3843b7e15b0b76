"""What the sdist and the wheel hold, that the same source gives the same bytes, and that they install."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
VARIANTS = (
    "",
    "casts/",
    "casts/fentry/",
    "casts/kprobe/",
    "fentry/",
    "kprobe/",
    "old/",
    "old/kprobe/",
    "preemptible/",
    "preemptible/kprobe/",
)
SNIPPETS = ("recorder.bpf",)
ARCHES = ("aarch64", "x86_64")
EM_BPF = 247

NOT_SOURCE = shutil.ignore_patterns(
    ".git", ".venv", ".tox", "dist", "build", "objects", "__pycache__", ".*_cache", ".hypothesis"
)


class Built(NamedTuple):
    """The files of three builds of the same source."""

    sdist: Path
    from_sdist: Path
    from_tree: Path
    from_other_tree: Path


def run(*command: str | Path, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a command and return what it printed, errors included."""
    return subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def build(project: Path, out: Path, *what: str, **environ: str) -> Path:
    """Build `project` with this environment's hatchling and ziglang; returns the wheel."""
    done = run(sys.executable, "-m", "build", "--no-isolation", *what, "--outdir", out, project, cwd=out, **environ)
    assert done.returncode == 0, done.stdout
    (wheel,) = out.glob("*.whl")
    return wheel


def copy_of_source(to: Path) -> Path:
    """Copy what a clean clone has, so that no build writes into the project."""
    return Path(shutil.copytree(ROOT, to, ignore=NOT_SOURCE))


def sections(elf: bytes) -> list[str]:
    """Return the section names of a 64-bit little-endian ELF file."""
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    size, count, names_at = struct.unpack_from("<HHH", elf, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + i * size) for i in range(count)]
    names = headers[names_at][4]
    return [elf[names + header[0] : elf.index(b"\0", names + header[0])].decode() for header in headers]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build from a tree (by way of an sdist and straight) and from a second tree elsewhere."""
    here = copy_of_source(tmp_path_factory.mktemp("here") / "project")
    elsewhere = copy_of_source(tmp_path_factory.mktemp("elsewhere") / "a" / "longer" / "path" / "to-it")
    # What an editable install left behind must not get into a wheel, and a home folder is not needed.
    stale = elsewhere / "pytest_ebpf" / "objects" / "x86_64" / "stale.bpf.o"
    stale.parent.mkdir(parents=True)
    stale.touch()
    out = tmp_path_factory.mktemp("dist")
    from_sdist = build(here, out)
    (sdist,) = out.glob("*.tar.gz")
    return Built(
        sdist,
        from_sdist,
        build(here, tmp_path_factory.mktemp("tree"), "--wheel"),
        build(elsewhere, tmp_path_factory.mktemp("other"), "--wheel", HOME="/dev/null/none"),
    )


@pytest.fixture(scope="session")
def contents(built: Built) -> dict[str, bytes]:
    """The wheel's files by name."""
    with zipfile.ZipFile(built.from_sdist) as wheel:
        return {name: wheel.read(name) for name in wheel.namelist()}


@pytest.fixture(scope="session")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh virtual environment with pytest in it."""
    home = tmp_path_factory.mktemp("venv")
    done = run(sys.executable, "-m", "venv", home, cwd=home)
    assert done.returncode == 0, done.stdout
    return home / "bin" / "python"


def test_one_wheel_serves_every_python_and_platform(built: Built) -> None:
    """The objects are for the BPF machine, so the wheel's tag names no platform."""
    assert built.from_sdist.name.endswith("-py3-none-any.whl")


@pytest.mark.parametrize("arch", ARCHES)
def test_objects_of_each_architecture_are_in_the_wheel(contents: dict[str, bytes], arch: str) -> None:
    """One object, and none that was left there."""
    folder = f"pytest_ebpf/objects/{arch}/"
    names = sorted(name.removeprefix(folder) for name in contents if name.startswith(folder))
    assert names == sorted(f"{variant}{snippet}.o" for variant in VARIANTS for snippet in SNIPPETS)


@pytest.mark.parametrize("arch", ARCHES)
@pytest.mark.parametrize("snippet", SNIPPETS)
def test_object_has_btf_and_no_dwarf(contents: dict[str, bytes], arch: str, snippet: str) -> None:
    """libbpf needs .BTF and .BTF.ext; DWARF, which nobody reads, would double the size."""
    elf = contents[f"pytest_ebpf/objects/{arch}/{snippet}.o"]
    assert elf[:6] == b"\x7fELF\x02\x01", "64-bit little-endian ELF"
    assert struct.unpack_from("<H", elf, 18) == (EM_BPF,)
    names = sections(elf)
    assert {".BTF", ".BTF.ext", ".symtab", ".strtab", "license"} <= set(names)
    assert not [name for name in names if ".debug_" in name]


def test_object_names_no_folder_of_the_build(contents: dict[str, bytes]) -> None:
    """Line information names files relative to the project."""
    for name, elf in contents.items():
        if name.endswith(".bpf.o"):
            assert b"./bpf_snippets/" in elf
            assert b"/project/" not in elf
            assert b"pytest-of-" not in elf


def test_sources_of_the_snippets_are_in_the_wheel(contents: dict[str, bytes]) -> None:
    """An engine that compiles at run time needs the snippets and their headers, unchanged."""
    sources = sorted((ROOT / "bpf_snippets").rglob("*.[ch]"))
    assert sources
    for source in sources:
        assert contents[f"pytest_ebpf/{source.relative_to(ROOT).as_posix()}"] == source.read_bytes()


def test_wheel_holds_the_package_and_nothing_else(contents: dict[str, bytes]) -> None:
    """No tests, no build hook, no stray folder at the top of site-packages."""
    assert {name.split("/")[0].split("-")[0] for name in contents} == {"pytest_ebpf"}
    assert "pytest_ebpf/py.typed" in contents
    modules = {f"pytest_ebpf/{p.relative_to(ROOT / 'pytest_ebpf')}" for p in (ROOT / "pytest_ebpf").rglob("*.py")}
    assert modules == {name for name in contents if name.endswith(".py")}


def test_sdist_has_what_it_takes_to_build_and_test(built: Built) -> None:
    """The sources are in it, the compiled objects are not."""
    with tarfile.open(built.sdist) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {
        "hatch_build.py",
        "pyproject.toml",
        "tox.ini",
        "LICENSE",
        "tests/packaging/test_wheel.py",
    } <= names
    assert {f"bpf_snippets/{snippet}.c" for snippet in SNIPPETS} <= names
    assert not [name for name in names if name.endswith(".o")]


@pytest.mark.parametrize("other", ["from_tree", "from_other_tree"])
def test_same_source_gives_the_same_bytes(built: Built, other: str) -> None:
    """Neither the way over an sdist, nor the folder, the home or the compiler's cache shows in the wheel."""
    wheel: Path = getattr(built, other)
    assert wheel.read_bytes() == built.from_sdist.read_bytes()


def test_wheel_installs_and_its_plugin_loads(built: Built, interpreter: Path, tmp_path: Path) -> None:
    """In a fresh environment, with dependencies as declared, pytest finds the plugin by its entry point."""
    done = run(interpreter, "-m", "pip", "install", "--quiet", built.from_sdist, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    check_installed(interpreter, tmp_path)


def test_editable_install_has_objects_and_plugin(interpreter: Path, tmp_path: Path) -> None:
    """`pip install -e .` compiles into the source tree and imports from there."""
    project = copy_of_source(tmp_path / "project")
    done = run(interpreter, "-m", "pip", "install", "--quiet", "--editable", project, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    objects = {str(o.relative_to(project / "pytest_ebpf/objects")) for o in project.rglob("*.bpf.o")}
    assert objects == {
        f"{arch}/{variant}{snippet}.o" for arch in ARCHES for variant in VARIANTS for snippet in SNIPPETS
    }
    assert check_installed(interpreter, tmp_path) == project / "pytest_ebpf"


def check_installed(interpreter: Path, cwd: Path) -> Path:
    """Import the package and start pytest away from the project; returns where the package is."""
    where = run(interpreter, "-c", "import pytest_ebpf; print(pytest_ebpf.__file__)", cwd=cwd)
    assert where.returncode == 0, where.stdout
    listed = run(interpreter, "-m", "pytest", "--trace-config", "--collect-only", "--quiet", cwd=cwd)
    assert "pytest_ebpf/plugin.py" in listed.stdout
    return Path(where.stdout.strip()).parent


def test_error_in_a_snippet_names_file_and_line(tmp_path: Path) -> None:
    """A build that fails shows the compiler's message and no Python traceback."""
    project = copy_of_source(tmp_path / "project")
    (project / "bpf_snippets" / "process.bpf.c").write_text("int fine;\nint broken\n", encoding="utf-8")
    done = run(sys.executable, "-m", "build", "--no-isolation", "--wheel", project, cwd=tmp_path)
    assert done.returncode != 0
    assert "bpf_snippets/process.bpf.c:2:11: error: expected ';'" in done.stdout
    assert "Traceback" not in done.stdout


def test_build_without_snippets_says_so(tmp_path: Path) -> None:
    """A wheel without objects would fail only later, at the user's."""
    project = copy_of_source(tmp_path / "project")
    shutil.rmtree(project / "bpf_snippets")
    done = run(sys.executable, "-m", "build", "--no-isolation", "--wheel", project, cwd=tmp_path)
    assert done.returncode != 0
    assert "recorder.bpf.c is missing" in done.stdout
    assert "Traceback" not in done.stdout


def test_nothing_generated_is_committed() -> None:
    """No object, no archive of one, and no kernel header of somebody else's."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = run("git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", cwd=ROOT)
    assert listed.returncode == 0, listed.stdout
    names = [Path(name) for name in listed.stdout.split("\0") if name]
    assert not [name for name in names if name.suffix in {".o", ".a", ".so", ".whl", ".gz", ".btf"}]
    assert not [name for name in names if name.name.startswith("vmlinux") or "bpf_helper" in name.name]
