"""A repository that is called otherwise from now on, in all that is stored.

What is stored names a repository by the key `repository` of some mapping, however deep, and by the
keys of objects, owners and addressees of that kind. Messages that were consumed stay as they are.
"""

import json
from sqlite3 import Connection
from typing import Any

from controller.store.rows import text
from specs.digests import digest


def rename(connection: Connection, old: str, new: str) -> None:
    """Rename it within a transaction. What was known under the new name gives way: it was seen
    while the old one still had the pipelines."""
    run, about = connection.execute, f'%"repository":%"{old}"%'
    run("DELETE FROM objects WHERE kind = 'repository' AND name = ?", (new,))
    for kind, name, body in run(
        "SELECT kind, name, body FROM objects WHERE body LIKE ? OR (kind, name) = (?, ?)",
        (about, "repository", old),
    ).fetchall():
        renamed = _renamed(json.loads(body), old, new)
        own = kind == "repository" and name == old
        run(
            "UPDATE objects SET name = ?, body = ?, revision = revision + 1 "
            "WHERE kind = ? AND name = ?",
            (new if own else name, text({**renamed, "name": new} if own else renamed), kind, name),
        )
    stall = ("repository/" + new, "repository/" + old)
    run("UPDATE OR REPLACE objects SET name = ? WHERE kind = 'stall' AND name = ?", stall)
    _rename_outbox(connection, old, new)
    for number, body in run(
        "SELECT number, body FROM messages WHERE consumed IS NULL AND body LIKE ?", (about,)
    ).fetchall():
        renamed = text(_renamed(json.loads(body), old, new))
        run("UPDATE messages SET body = ? WHERE number = ?", (renamed, number))
    run(
        "UPDATE OR REPLACE messages SET to_name = ? WHERE to_kind = 'repository' AND to_name = ?",
        (new, old),
    )


def _rename_outbox(connection: Connection, old: str, new: str) -> None:
    run = connection.execute
    for number, kind, name, action in run(
        "SELECT number, owner_kind, owner_name, action FROM outbox"
    ).fetchall():
        owner = (kind, new if (kind, name) == ("repository", old) else name)
        plain = _renamed(json.loads(action), old, new)
        run(
            "UPDATE OR REPLACE outbox SET id = ?, owner_name = ?, action = ? WHERE number = ?",
            (digest([*owner, plain]), owner[1], text(plain), number),
        )


def _renamed(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {
            key: new if key == "repository" and each == old else _renamed(each, old, new)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_renamed(each, old, new) for each in value]
    return value
