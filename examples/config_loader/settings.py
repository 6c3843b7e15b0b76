"""Settings from a TOML file, read when the object is made."""

import tomllib


class Settings:
    def __init__(self, path):
        with open(path, "rb") as file:
            self._values = tomllib.load(file)

    def __getitem__(self, key):
        return self._values[key]
