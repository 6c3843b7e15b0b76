"""Which revision a repository is at, the same on everybody's machine."""

import os
import subprocess

# The user's configuration can change what git prints. GIT_CONFIG_GLOBAL alone doesn't keep git away from the home
# folder: for `--dirty` it still looks for ~/.config/git/ignore.
NO_USER = {"HOME": os.devnull, "XDG_CONFIG_HOME": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


def describe(repository):
    command = ["git", "describe", "--tags", "--dirty"]
    environment = os.environ | NO_USER
    result = subprocess.run(command, cwd=repository, env=environment, check=True, capture_output=True, text=True)
    return result.stdout.strip()
