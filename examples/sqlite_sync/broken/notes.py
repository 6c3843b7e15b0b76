"""Broken on purpose: `save` makes a transaction of each note."""

import sqlite3


def open_notes(path, journal_mode="DELETE"):
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA journal_mode={journal_mode}")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE IF NOT EXISTS notes (text)")
    return database


def save(database, texts):
    for text in texts:
        with database:
            database.execute("INSERT INTO notes VALUES (?)", (text,))
