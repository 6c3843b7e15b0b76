"""Notes in an SQLite database."""

import sqlite3


def open_notes(path, journal_mode="DELETE"):
    database = sqlite3.connect(path)
    database.execute(f"PRAGMA journal_mode={journal_mode}")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE IF NOT EXISTS notes (text)")
    return database


def save(database, texts):
    """All of them or none, in one transaction."""
    with database:
        database.executemany("INSERT INTO notes VALUES (?)", [(text,) for text in texts])
