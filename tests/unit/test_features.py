"""What a host can do, told without loading anything."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_ebpf import attachment, features
from pytest_ebpf.engines.variant import PREEMPTIBLE, of_kernel

SYS_ADMIN, PERFMON, BPF = 1 << 21, 1 << 38, 1 << 39


class Host:
    """A host to be changed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self._monkeypatch = monkeypatch
        self._status = tmp_path / "status"
        self._btf = tmp_path / "vmlinux"
        self._btf.touch()
        monkeypatch.setattr(features, "BTF", self._btf)
        self._modules = tmp_path / "modules"
        monkeypatch.setattr(features, "MODULES", self._modules)
        self._lockdown = tmp_path / "lockdown"
        monkeypatch.setattr(features, "LOCKDOWN", self._lockdown)
        self._kheaders = tmp_path / "kheaders"
        monkeypatch.setattr(features, "KHEADERS", self._kheaders)
        self._system = tmp_path / "usr"
        monkeypatch.setattr(features, "SYSTEM", self._system)
        self.install("lib/x86_64-linux-gnu/libbpf.so.1")
        monkeypatch.setattr(features, "sys", SimpleNamespace(platform="linux"))
        monkeypatch.setenv(attachment.SWITCH, "none")
        monkeypatch.setattr(features, "os", SimpleNamespace(geteuid=lambda: 1000))
        monkeypatch.setattr(features, "Path", lambda name: self._status)
        self.status(f"CapEff:\t{SYS_ADMIN:016x}\n")
        self.kernel()

    def status(self, text: str | None) -> None:
        """What /proc/self/status has; None if there is none."""
        self._status.unlink(missing_ok=True)
        if text is not None:
            self._status.write_text(text, encoding="utf-8")

    def kernel(self, release: str = "6.18.3", machine: str = "x86_64", system: str = "Linux") -> None:
        """The kernel's names."""
        self._release = release
        names = {"release": release, "machine": machine, "system": system}
        functions = {name: (lambda value=value: value) for name, value in names.items()}
        self._monkeypatch.setattr(features, "platform", SimpleNamespace(**functions))

    def install(self, name: str) -> None:
        """A file below /usr."""
        file = self._system / name
        file.parent.mkdir(parents=True)
        file.touch()

    def headers(self, release: str) -> None:
        """Those of the running kernel, which say that they are of this one."""
        generated = self._modules / self._release / "build" / "include" / "generated"
        generated.mkdir(parents=True, exist_ok=True)
        (generated / "utsrelease.h").write_text(f'#define UTS_RELEASE "{release}"\n', encoding="utf-8")

    def lock(self, mode: str) -> None:
        """Lock the kernel down so far."""
        modes = ("none", "integrity", "confidentiality")
        self._lockdown.write_text(" ".join(f"[{each}]" if each == mode else each for each in modes) + "\n")

    def kernel_headers(self) -> None:
        """Those that the kernel brings itself."""
        self._kheaders.touch()

    def without_libraries(self) -> None:
        """Nothing is installed."""
        shutil.rmtree(self._system)

    def root(self) -> None:
        """The user is root."""
        self._monkeypatch.setattr(features, "os", SimpleNamespace(geteuid=lambda: 0))

    def without_btf(self) -> None:
        """The kernel was built without."""
        self._btf.unlink()

    def other_system(self) -> None:
        """A Macintosh."""
        self._monkeypatch.setattr(features, "sys", SimpleNamespace(platform="darwin"))
        self.kernel("24.0", "arm64", "Darwin")


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Host:
    """One that can do everything."""
    return Host(monkeypatch, tmp_path)


def problem(wanted: str = "auto") -> str:
    """Why there is no engine; empty if there is one."""
    found = features.choose(wanted).problem
    return str(found) if found else ""


def test_auto_takes_libbpf(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says why."""
    monkeypatch.setenv(attachment.SWITCH, "kprobe")
    choice = features.choose("auto")
    assert (choice.engine, choice.why, choice.problem) == ("libbpf", "auto: the kernel has BTF", None)
    assert str(choice) == "engine libbpf (auto: the kernel has BTF), Linux 6.18.3 x86_64, kernel hooks: kprobe"


@pytest.mark.parametrize(
    "version, modes, kinds",
    [
        ("#1 SMP Debian 5.10.1", None, ("kprobe", "fentry")),
        ("#1 SMP PREEMPT_DYNAMIC Debian 6.1.1", "none (voluntary) full \n", ("kprobe", "fentry")),
        ("#1 SMP PREEMPT_DYNAMIC Debian 6.1.1", "none voluntary (full) \n", ("kprobe",)),
        ("#1 SMP PREEMPT_DYNAMIC Debian 6.1.1", None, ("kprobe",)),
        ("#1 SMP PREEMPT_RT", None, ("kprobe",)),
    ],
)
def test_kinds_of_hooks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str, modes: str | None, kinds: tuple[str, ...]
) -> None:
    """Fentry is for kernels that can't be preempted; what isn't there isn't tried."""
    monkeypatch.delenv(attachment.SWITCH, raising=False)
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(version=version))
    for name in ("BTF", "KPROBE", "FTRACE", "PREEMPTION"):
        monkeypatch.setattr(attachment, name, str(tmp_path / name))
    assert attachment.kinds() == ()
    (tmp_path / "FTRACE").touch()
    assert attachment.kinds() == ()
    (tmp_path / "BTF").touch()
    assert "kprobe" not in attachment.kinds()
    (tmp_path / "KPROBE").touch()
    if modes is not None:
        (tmp_path / "PREEMPTION").write_text(modes)
    assert attachment.kinds() == kinds
    assert features.hooks() == kinds[0]


def test_kind_of_hooks_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """One, or none; a misspelt one is an error."""
    assert [attachment.kinds(wanted) for wanted in ("kprobe", "none")] == [("kprobe",), ()]
    monkeypatch.setenv(attachment.SWITCH, "krobe")
    with pytest.raises(ValueError, match=r"^PYTEST_EBPF_HOOKS=krobe: unknown \(one of: kprobe, fentry, none\)$"):
        attachment.kinds()


def test_named_engine(host: Host) -> None:
    """The reason is that it was asked for."""
    choice = features.choose("libbpf")
    assert str(choice) == "engine libbpf (as asked: --ebpf-engine=libbpf), Linux 6.18.3 x86_64, kernel hooks: none"


def test_named_engine_never_falls_back(host: Host) -> None:
    """An engine that isn't there is a problem, though another one would do."""
    choice = features.choose("bcc")
    assert choice.engine == "bcc"
    cause = "the Python package of BCC is not in any of the distribution's folders"
    assert problem("bcc").startswith(f"start engine bcc: {cause} (on Debian and Ubuntu: apt-get install python3-bpfcc")


@pytest.mark.parametrize("place", ["lib/python3/dist-packages", "lib/python3.12/site-packages"])
def test_bcc(host: Host, place: str) -> None:
    """Wherever the distribution has it; it is taken when it is named, and when it alone is there."""
    host.install(f"{place}/bcc/libbcc.py")
    assert features.choose("auto").engine == "libbpf"
    assert (
        str(features.choose("bcc"))
        == "engine bcc (as asked: --ebpf-engine=bcc), Linux 6.18.3 x86_64, kernel hooks: none"
    )
    host.without_libraries()
    assert features.choose("auto").engine == "libbpf"
    host.install(f"{place}/bcc/libbcc.py")
    assert str(features.choose("auto")) == (
        "engine bcc (auto: there is BCC here, and no libbpf.so.1), Linux 6.18.3 x86_64, kernel hooks: none"
    )


def test_pip_has_another_bcc(host: Host) -> None:
    """Its package of that name is not the one."""
    host.install("lib/python3/dist-packages/bcc/__init__.py")
    assert features.bcc_package() is None


@pytest.mark.parametrize(
    "release, old",
    [
        ("5.10", False),
        ("5.10.0-32-amd64", False),
        ("5.18.19-generic", False),
        ("6.1.0-9-amd64", False),
        ("6.12-arch1", False),
        ("7.0", False),
        ("10.2.1", False),
        ("5.9.16", True),
        ("5.9", True),
        ("5.4.0-150-generic", True),
        ("4.18.0-513.el8.x86_64", True),
        ("3.10.0-1160.el7", True),
    ],
)
def test_kernel_release(host: Host, release: str, old: bool) -> None:
    """Compared by its numbers, not as text."""
    host.kernel(release)
    expected = f"start engine libbpf: the kernel is {release} (needs Linux 5.10 or newer)" if old else ""
    assert problem() == expected


@pytest.mark.parametrize("release", ["", "unknown"])
def test_kernel_release_without_numbers(host: Host, release: str) -> None:
    """It is taken for an old one, without a crash."""
    host.kernel(release)
    assert "the kernel is" in problem()


@pytest.mark.parametrize(
    "machine, supported", [("x86_64", True), ("aarch64", True), ("riscv64", False), ("i686", False)]
)
def test_machine(host: Host, machine: str, supported: bool) -> None:
    """There are programs for two."""
    host.kernel(machine=machine)
    expected = f"start engine libbpf: there are no programs for {machine} (supported: x86_64, aarch64)"
    assert problem() == ("" if supported else expected)


def test_not_linux(host: Host) -> None:
    """That is said before anything that only Linux has."""
    host.other_system()
    host.status(None)
    assert problem() == ("start engine libbpf: eBPF is a part of Linux, and this is Darwin (run these tests on Linux)")
    assert str(features.choose("auto")).startswith("no engine on Darwin 24.0 arm64: eBPF is a part of Linux")


def test_locked_down(host: Host) -> None:
    """Where programs may not read the kernel's memory; less than that is no trouble."""
    for mode, trouble in (("none", False), ("integrity", False), ("confidentiality", True)):
        host.lock(mode)
        assert ("the kernel is locked down (confidentiality): no program may read its" in problem()) == trouble


def test_no_btf(host: Host) -> None:
    """The cause names the file, the hint the kernel's option."""
    host.without_btf()
    assert "the kernel has no BTF (" in problem()
    assert "CONFIG_DEBUG_INFO_BTF" in problem()
    assert "or --ebpf-engine=bcc with the kernel's headers" in problem()


def test_headers_in_the_place_of_btf(host: Host) -> None:
    """They are for BCC; without them it is said how to get them."""
    host.without_btf()
    host.install("lib/python3/dist-packages/bcc/libbcc.py")
    assert features.choose("auto").why == "auto: the kernel has no BTF"
    assert "no headers of 6.18.3 are in " in problem()
    assert "apt-get install linux-headers-6.18.3; or use a kernel built with CONFIG_DEBUG_INFO_BTF" in problem()
    host.headers("6.18.3")
    assert features.choose("auto").problem is None
    assert "or --ebpf-engine=bcc with the kernel's headers" in problem("libbpf")
    host.headers("6.18.4")
    assert "no headers of 6.18.3 are in " in problem()
    host.kernel_headers()
    assert features.choose("auto").problem is None


def test_no_btf_where_it_is_needed(host: Host) -> None:
    """What keeps programs from being preempted is found by BTF."""
    assert of_kernel("7.0", btf=True).preemptible
    assert features.NEEDS_BTF == PREEMPTIBLE
    host.without_btf()
    host.install("lib/python3/dist-packages/bcc/libbcc.py")
    host.kernel(release="7.0.1")
    host.headers("7.0.1")
    assert "without which Linux 7.0 and newer can't be watched (use a kernel built with" in problem()


@pytest.mark.parametrize(
    "capabilities, enough",
    [
        (0, False),
        (SYS_ADMIN, True),
        (BPF | PERFMON, True),
        (BPF, False),
        (PERFMON, False),
        ((1 << 41) - 1, True),
        ((1 << 41) - 1 - SYS_ADMIN, True),
        ((1 << 41) - 1 - SYS_ADMIN - BPF, False),
    ],
)
def test_capabilities(host: Host, capabilities: int, enough: bool) -> None:
    """CAP_SYS_ADMIN, or the two that it was split into."""
    host.status(f"Name:\tpytest\nCapPrm:\t{SYS_ADMIN:016x}\nCapEff:\t{capabilities:016x}\nCapBnd:\t{SYS_ADMIN:016x}\n")
    hint = "run as root, or with CAP_BPF and CAP_PERFMON"
    expected = f"start engine libbpf: this user may not load eBPF programs ({hint})"
    assert problem() == ("" if enough else expected)


def test_root_without_capabilities(host: Host) -> None:
    """Root in a container may be as powerless as anybody."""
    host.root()
    host.status("CapEff:\t0000000000000000\n")
    assert "may not load" in problem()


@pytest.mark.parametrize("status", [None, "", "Name:\tpytest\n", "CapEff: what\n", "CapEff:\t\ufffd\n"])
def test_capabilities_that_are_not_told(host: Host, status: str | None) -> None:
    """Then it goes by the user."""
    host.status(status)
    assert "may not load" in problem()
    host.root()
    assert problem() == ""


def test_name_of_the_process_is_not_believed(host: Host) -> None:
    """A task name with line breaks can't forge a line; the kernel escapes them, and the last word is not the name's."""
    host.status("Name:\t\\nCapEff:\\t0000000000200000\nCapEff:\t0000000000000000\n")
    assert "may not load" in problem()


def test_problem_without_a_hint() -> None:
    """The header has no empty brackets."""
    from pytest_ebpf.errors import EngineUnavailable

    choice = features.Choice("libbpf", "", EngineUnavailable("start", "no reason"))
    assert str(choice).endswith(": no reason")


def test_lent_engine_needs_no_privilege(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What pytest-ebpf run lends is taken, unless another one is asked for by name."""
    host.status("CapEff:\t0000000000000000\n")
    for wanted in ("auto", "libbpf"):
        choice = features.choose(wanted, "libbpf")
        assert str(choice).startswith("engine libbpf (lent by pytest-ebpf run), ")
        assert choice.problem is None
        assert choice.is_lent
    assert features.choose("bcc", "libbpf").problem is not None
