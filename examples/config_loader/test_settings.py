"""The settings file is read once, however often a setting is asked for."""

import pytest
from settings import Settings


# What fixtures do is not recorded, so that writing the file isn't counted as opening it.
@pytest.fixture
def app_toml(tmp_path):
    path = tmp_path / "app.toml"
    path.write_text('name = "shop"\ndebug = false\nworkers = 3\n')
    return path


def test_file_is_read_once(ebpf, app_toml):
    settings = Settings(app_toml)

    assert settings["name"] == "shop"
    assert settings["debug"] is False
    assert settings["workers"] == 3

    ebpf.assert_syscall("%open", path=app_toml, count=1)
