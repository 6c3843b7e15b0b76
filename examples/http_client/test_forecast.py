"""The client talks to its server and to nobody else."""

import re
import subprocess
import sys

import pytest
from forecast import tomorrow


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Python's own file server, in a process of its own; the value is its host and port."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "tomorrow.json").write_text('{"sky": "clear"}')
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind=127.0.0.1", f"--directory={folder}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        host, port = re.search(r"on (\S+) port (\d+)", process.stdout.readline()).groups()
        yield host, int(port)
        process.terminate()


def test_talks_to_its_server_and_to_nobody_else(ebpf, server):
    host, port = server
    assert tomorrow(host, port) == {"sky": "clear"}

    def elsewhere(address):
        return (address.host, address.port) != server

    # "self" is pytest's process: the server, which answers meanwhile, is another one.
    ebpf.assert_syscall("connect", address=f"{host}:{port}", process="self", count=1)
    ebpf.assert_no_syscall("connect", "sendto", "sendmsg", "sendmmsg", address=elsewhere, process="self")
