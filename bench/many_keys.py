"""A key service with many keys, which are written into its database directly: a million calls would take too long."""

import contextlib
import hashlib
import sqlite3
from pathlib import Path

TEAMS = 1000
NEVER = 1_900_000_000


def text(number: int) -> str:
    return f"foreign-key-number-{number:09}-of-the-benchmark"


def key_id(number: int) -> str:
    return f"k{number:014}"


def digest(what: str) -> bytes:
    return hashlib.sha256(what.encode()).digest()


def origin(number: int) -> "str | None":
    return f"app{number}.example.com" if number % 5 == 0 else None


def fill(file: Path, keys: int) -> None:
    """A team, two scopes, a subject and an expiry for each key; an origin for one in five."""
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        teams = [(f"t{number}", digest(f"t{number}")) for number in range(TEAMS)]
        put = "INSERT INTO teams (id, digest, name, state, created_at) VALUES (?, ?, 'n', 'active', 1)"
        database.executemany(put, teams)
        database.executemany("INSERT INTO published (table_code, digest, revision) VALUES (1, ?, 1)", [team[1:] for team in teams])
        rows = (
            (key_id(number), digest(text(number)), f"t{number % TEAMS}", f"subject-{number}", origin(number), NEVER)
            for number in range(keys)
        )
        database.executemany(
            "INSERT INTO keys (id, digest, kind, team, subject, scopes, state, created_at, origin, expires)"
            " VALUES (?, ?, 'application', ?, ?, 'read write', 'active', 1, ?, ?)",
            rows,
        )
        # The records themselves are added by the key service when it starts.
        database.execute("INSERT INTO published (table_code, digest, revision) SELECT 2, digest, 2 FROM keys")
        database.execute("UPDATE service SET revision = 2")


def imported(number: int) -> dict:
    """A new key, as the admin API takes it."""
    return {"id": key_id(number), "digest": digest(text(number)).hex(), "team": f"t{number % TEAMS}", "scopes": ["read"]}
