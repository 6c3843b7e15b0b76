"""Broken on purpose: git reads the user's configuration."""

import subprocess


def describe(repository):
    command = ["git", "describe", "--tags", "--dirty"]
    result = subprocess.run(command, cwd=repository, check=True, capture_output=True, text=True)
    return result.stdout.strip()
