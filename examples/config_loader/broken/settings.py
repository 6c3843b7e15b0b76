"""Broken on purpose: each access reads the file again."""

import tomllib


class Settings:
    def __init__(self, path):
        self._path = path

    def __getitem__(self, key):
        with open(self._path, "rb") as file:
            return tomllib.load(file)[key]
