"""Saving some notes costs one transaction: so many waits for the disk, by journal mode."""

import sqlite3
from contextlib import closing

import pytest
from notes import open_notes, save

with closing(sqlite3.connect(":memory:")) as database:
    OPTIONS = {option for (option,) in database.execute("PRAGMA compile_options")}

# Some distributions build SQLite so that it doesn't sync the folder in which it made the journal.
FOLDER = 0 if "DISABLE_DIRSYNC" in OPTIONS else 1

SYNCS = {
    "DELETE": 3 + FOLDER,  # journal, journal header, database
    "TRUNCATE": 4 + FOLDER,  # the same, and the journal again when it is empty
    "PERSIST": 4 + FOLDER,  # the same, and the journal again when its header is wiped
    "WAL": 1,  # write-ahead log
    "MEMORY": 1,  # database; a crash in the middle may corrupt it
    "OFF": 1,  # database; and there is no rollback either
}


@pytest.mark.parametrize("journal_mode, syncs", SYNCS.items())
def test_saving_is_one_transaction(ebpf, tmp_path, journal_mode, syncs):
    with closing(open_notes(tmp_path / "notes.db", journal_mode)) as database, ebpf.window() as saving:
        save(database, ["milk", "bread", "tea"])

    saving.assert_syscall("fsync", "fdatasync", count=syncs)
