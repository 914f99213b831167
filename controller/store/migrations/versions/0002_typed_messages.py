"""The table `letters` becomes `messages`, of typed classes; stored states get their new words."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

NAME = sa.String().with_variant(sa.String(collation="C"), "postgresql")
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

Body = dict[str, Any]

_TYPES = {
    "trigger": "run_requested",
    "accepted": "rules_accepted",
    "cancel": "cancel_run",
    "start": "start_run",
    "proposed": "release_proposed",
    "look": "branch_moved",
    "in_trouble": "stalled",
    "out_of_trouble": "recovered",
    "github_moved": "forge_moved",
    "github_comment": "forge_moved",
    "github_installation": "forge_moved",
    "github_pull": "forge_moved",
    "github_rerun": "button_pressed",
    "github_action": "button_pressed",
}
_ENVIRONMENT = {
    "heeded": "acted_on",
    "says": "named_in_file",
    "brought": "stable_rollout",
    "told": "notified",
    "lost": "lost_history",
    "stranger": "unknown_server",
    "owed_since": "unwritten_since",
}
_PRESSED = ("author", "action", "check", "external_id", "sha")


def upgrade() -> None:
    """Copy the table to its new name and columns, then rewrite the words in what is stored."""
    op.drop_index("letters_unheeded", "letters")
    op.drop_index("letters_heeded", "letters")
    _copy_messages()
    op.create_index("messages_consumed", "messages", ["consumed"])
    waiting = sa.text("consumed IS NULL AND set_aside IS NULL")
    op.create_index(
        "messages_inbox",
        "messages",
        ["to_kind", "to_name"],
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
    run = op.get_bind().execute
    run(sa.text("UPDATE objects SET kind = 'stall' WHERE kind = 'trouble'"))
    run(
        sa.text(
            "UPDATE outbox SET lane = replace(lane, 'send ', 'notify '), "
            'action = replace(action, \'"type":"send"\', \'"type":"notify"\') '
            "WHERE lane LIKE 'send %'"
        )
    )
    run(sa.text("UPDATE outbox SET owner_kind = 'stall' WHERE owner_kind = 'trouble'"))
    _rewrite_objects("environment", _environment)
    _rewrite_objects("rollout", _ended_rollout)
    _rewrite_objects("repository", _repository)
    _rewrite_messages()


def _copy_messages() -> None:
    op.create_table(
        "messages",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("to_kind", NAME, nullable=False),
        sa.Column("to_name", NAME, nullable=False),
        sa.Column("id", NAME, nullable=False),
        sa.Column("type", NAME, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("consumed", sa.Float),
        sa.Column("set_aside", sa.Float),
        sa.Column("reason", sa.Text),
        sa.UniqueConstraint("to_kind", "to_name", "id", name="messages_once"),
        sqlite_autoincrement=True,
    )
    op.get_bind().execute(
        sa.text(
            "INSERT INTO messages (number, to_kind, to_name, id, type, body, at, consumed) "
            "SELECT number, CASE to_kind WHEN 'trouble' THEN 'stall' ELSE to_kind END, to_name, "
            "id, type, body, at, heeded FROM letters"
        )
    )
    op.drop_table("letters")


def _rewrite_objects(kind: str, change: Callable[[Body], Body]) -> None:
    connection = op.get_bind()
    rows = connection.execute(
        sa.text("SELECT name, body FROM objects WHERE kind = :kind"), {"kind": kind}
    ).all()
    for name, body in rows:
        rewritten = _rewritten(body, change)
        if rewritten is not None:
            connection.execute(
                sa.text("UPDATE objects SET body = :body WHERE kind = :kind AND name = :name"),
                {"kind": kind, "name": name, "body": rewritten},
            )


def _rewritten(text: str, change: Callable[[Body], Body]) -> str | None:
    """The new text, or None for one that is malformed: it stays as it is, and its reader says what
    is wrong with it. To fail here would keep the controller from ever starting."""
    try:
        return _text(change(json.loads(text)))
    except (AttributeError, LookupError, TypeError, ValueError):
        return None


def _environment(body: Body) -> Body:
    waiting = body.pop("waiting", None)
    body = {_ENVIRONMENT.get(name, name): value for name, value in body.items()}
    body["deferred_release"] = {"type": "release", **waiting} if waiting else None
    for name in ("rollout", "stopped"):
        body[name] = _rollout(body.get(name))
    return body


def _ended_rollout(body: Body) -> Body:
    return {**body, "rollout": _rollout(body.get("rollout"))}


def _rollout(body: Body | None) -> Body | None:
    return {**body, "kind": "edit"} if body and body.get("kind") == "wish" else body


def _repository(body: Body) -> Body:
    body["last_comment"] = body.pop("heeded", None)
    body["pressed"] = [_pressed(one) for one in body.get("pressed", ())]
    return body


def _rewrite_messages() -> None:
    """Those that nobody consumed; the others are only remembered by their ids."""
    connection = op.get_bind()
    rows = connection.execute(
        sa.text("SELECT number, type, body FROM messages WHERE consumed IS NULL")
    ).all()
    for number, type_, body in rows:
        name = _TYPES.get(type_, type_)
        rewritten = _rewritten(body, partial(_typed, type_, name))
        connection.execute(
            sa.text("UPDATE messages SET type = :type, body = :body WHERE number = :number"),
            {"number": number, "type": name, "body": body if rewritten is None else rewritten},
        )


def _typed(type_: str, name: str, body: Body) -> Body:
    return {**_message(type_, body), "type": name}


def _message(type_: str, body: Body) -> Body:
    if type_ == "start":
        return {"run": body}
    if type_ == "action_failed" and body["action"].get("type") == "send":
        body["action"]["type"] = "notify"
    if type_ in ("github_rerun", "github_action"):
        return _pressed(body)
    if type_.startswith("github_"):
        return {"pull": type_ == "github_pull"}
    if type_ in ("trigger", "cancel", "accepted"):
        body = {name: value for name, value in body.items() if name != "repository"}
    if type_ in ("trigger", "cancel"):
        body = {name: value for name, value in body.items() if value is not None}
    if type_ == "commit_seen" and "spec" not in body:
        folder = body.pop("folder", "")
        body["spec"] = f"{folder}/ml-pipeline.yaml" if folder else "ml-pipeline.yaml"
    return body


def _pressed(hint: Body) -> Body:
    kept = {name: hint[name] for name in _PRESSED if name in hint}
    return {"type": "button_pressed", "rerun": hint.get("kind") == "rerun", **kept}


def _text(body: Body) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
