import subprocess

import pytest
from cache import recall, remember

# Rules for every test here; none needs the fixture `ebpf`. In pyproject.toml, below [tool.pytest-ebpf], they would be
# the whole suite's: no_network = true
pytestmark = pytest.mark.ebpf(
    no_network=True,
    no_exec=True,
    only_writes_under=["{tmp_path}"],
    max={"fsync": 0},
    phases=("setup", "call", "teardown"),
)


def test_recall(tmp_path):
    remember(tmp_path, "colour", "blue")
    assert recall(tmp_path, "colour") == "blue"


@pytest.fixture
def cache(tmp_path):
    (tmp_path / "colour.json").write_text('"blue"')
    return tmp_path


@pytest.mark.ebpf(no_file_access="{cache}/colour.json")
def test_other_keys_are_left_alone(cache):
    remember(cache, "size", 7)


@pytest.mark.ebpf(no_exec={"allow": ["cat"]})
def test_it_is_plain_json(tmp_path):
    remember(tmp_path, "colour", "blue")
    assert subprocess.check_output(["cat", tmp_path / "colour.json"]) == b'"blue"'
