"""The command ``pytest-ebpf``: ``doctor``, ``trace`` and ``run``."""

from __future__ import annotations

import argparse
import json
import os
import pwd
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .engines.base import ENGINES, LENT, LENT_TO
from .errors import EngineUnavailable, ProbeError

if TYPE_CHECKING:
    from .doctor import Examination

__all__ = ["main"]

USAGE_ERROR = 2
NOT_FOUND = 127


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code."""
    parser = argparse.ArgumentParser(prog="pytest-ebpf", description="kernel-level behavioural assertions for pytest")
    engine = argparse.ArgumentParser(add_help=False)
    engine.add_argument("--engine", choices=("auto", *ENGINES), default="auto", help="what loads the programs")
    commands = parser.add_subparsers(dest="command", required=True)
    doctor = commands.add_parser("doctor", parents=[engine], help="what this host can prove and what not, by doing it")
    doctor.add_argument("--json", action="store_true", help="as docs/doctor.md describes it")
    trace = commands.add_parser(
        "trace", parents=[engine], help="the events of any command, and the assertions that describe it"
    )
    trace.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- CMD …")
    run = commands.add_parser(
        "run", parents=[engine], help="load as root, and run the tests as the user who called sudo"
    )
    run.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- pytest …")
    given = parser.parse_args(arguments)
    try:
        if given.command == "doctor":
            return doctor_main(given.engine, as_json=given.json)
        argv = given.argv[1:] if given.argv[:1] == ["--"] else given.argv
        if not argv:
            parser.error(f"{given.command}: no command was given (write it behind --)")
        return trace_main(given.engine, argv) if given.command == "trace" else run_main(given.engine, argv)
    except (EngineUnavailable, ProbeError) as problem:
        print(f"pytest-ebpf: {problem}", file=sys.stderr)
        return USAGE_ERROR


def doctor_main(engine: str = "auto", *, as_json: bool = False) -> int:
    """Examine this host and print what was found."""
    from .doctor import examine

    examination: Examination = examine(engine)
    print(json.dumps(examination.as_json(), indent=2) if as_json else examination)
    return examination.exit_code


def trace_main(engine: str, argv: Sequence[str]) -> int:
    """Run a command, print its events on standard error, and the assertions that describe it."""
    from . import features
    from .trace import trace

    choice = features.choose(engine)
    if choice.problem is not None:
        raise choice.problem
    return trace(choice.engine, argv, sys.stderr)


def run_main(engine: str, argv: Sequence[str]) -> int:
    """Load the programs as this user, and run the command as the user who called sudo."""
    from . import features
    from .engines.keeper import KeptEngine

    choice = features.choose(engine)
    if choice.problem is not None:
        raise choice.problem
    user = _caller()
    identity: dict[str, Any] = {}
    if user is not None:
        os.environ[LENT_TO] = str(user.pw_uid)
        groups = os.getgrouplist(user.pw_name, user.pw_gid)
        identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": groups}
    address = os.urandom(16).hex()
    keeper = KeptEngine(choice.engine, address)
    for fd in keeper.start().maps.values():
        os.close(fd)
    environ = {**os.environ, LENT: f"{choice.engine}:{address}"}
    if user is not None:
        environ |= {"HOME": user.pw_dir, "USER": user.pw_name, "LOGNAME": user.pw_name}
    try:
        code: int = subprocess.run(argv, env=environ, check=False, **identity).returncode
    except OSError as error:
        print(f"pytest-ebpf run: {argv[0]}: {os.strerror(error.errno or 0)}", file=sys.stderr)
        return NOT_FOUND
    finally:
        keeper.stop()
    return code if code >= 0 else 128 - code


def _caller() -> pwd.struct_passwd | None:
    """The user who called sudo; None if nobody did."""
    uid = os.environ.get("SUDO_UID", "")
    return pwd.getpwuid(int(uid)) if uid.isdecimal() and os.geteuid() == 0 else None
