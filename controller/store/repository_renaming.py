"""A repository that is called otherwise from now on, in all that is stored.

What is stored names a repository by the key `repository` of some mapping, however deep, and by the
keys of objects, owners and addressees of that kind. Messages that were consumed stay as they are.
"""

import json
from typing import Any

from controller.store.pruning import FORGET
from controller.store.rows import text
from controller.store.session import StoreSession
from controller.store.statements import ACKNOWLEDGE, IS_THERE
from specs.digests import digest


def rename(session: StoreSession, old: str, new: str) -> None:
    """Rename it within a transaction. What was known under the new name gives way: it was seen
    while the old one still had the pipelines."""
    about = f'%"repository":%"{old}"%'
    session.run(FORGET, "repository", new)
    for kind, name, body in session.rows(
        "SELECT kind, name, body FROM objects WHERE body LIKE ? OR (kind = ? AND name = ?)",
        about, "repository", old,
    ):  # fmt: skip
        renamed = _renamed(json.loads(body), old, new)
        own = kind == "repository" and name == old
        session.run(
            "UPDATE objects SET name = ?, body = ?, revision = revision + 1 "
            "WHERE kind = ? AND name = ?",
            new if own else name, text({**renamed, "name": new} if own else renamed), kind, name,
        )  # fmt: skip
    stall, was = "repository/" + new, "repository/" + old
    if session.rows(IS_THERE, "stall", was):
        session.run(FORGET, "stall", stall)
        session.run("UPDATE objects SET name = ? WHERE kind = ? AND name = ?", stall, "stall", was)
    _rename_outbox(session, old, new)
    for number, body in session.rows(
        "SELECT number, body FROM messages WHERE consumed IS NULL AND body LIKE ?", about
    ):
        renamed = text(_renamed(json.loads(body), old, new))
        session.run("UPDATE messages SET body = ? WHERE number = ?", renamed, number)
    session.run(
        "DELETE FROM messages WHERE to_kind = ? AND to_name = ? AND id IN "
        "(SELECT id FROM messages WHERE to_kind = ? AND to_name = ?)",
        "repository", new, "repository", old,
    )  # fmt: skip
    session.run(
        "UPDATE messages SET to_name = ? WHERE to_kind = ? AND to_name = ?", new, "repository", old
    )


def _rename_outbox(session: StoreSession, old: str, new: str) -> None:
    for number, id_, kind, name, action in session.rows(
        "SELECT number, id, owner_kind, owner_name, action FROM outbox"
    ):
        owner = (kind, new if (kind, name) == ("repository", old) else name)
        plain = _renamed(json.loads(action), old, new)
        renamed = digest([*owner, plain])
        if renamed != id_:
            session.run(ACKNOWLEDGE, renamed)
        session.run(
            "UPDATE outbox SET id = ?, owner_name = ?, action = ? WHERE number = ?",
            renamed, owner[1], text(plain), number,
        )  # fmt: skip


def _renamed(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {
            key: new if key == "repository" and each == old else _renamed(each, old, new)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_renamed(each, old, new) for each in value]
    return value
