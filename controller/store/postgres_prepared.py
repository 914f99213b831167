"""What a turn asks of PostgreSQL: an object with all that is its own, and a commit.

Both are prepared when a connection is made, and asked through libpq: psycopg's cursors would take
longer over them than the server. So an argument is text, and an array is as PostgreSQL writes one.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import psycopg
from psycopg.pq import DiagnosticField, ExecStatus
from psycopg.pq.abc import PGresult

from controller.machine.core import Key
from controller.store import rows, statements
from controller.store.database import is_outcome
from controller.store.postgres_connection import FACTS, Connection
from controller.store.protocol import Put, Transaction

CONFLICT: Final = "HG001"
"""The code of a commit that met another; its message says where."""
LOST: Final = "HG002"
"""The code of a commit for which a lease is not current."""

# Every query has its index, which also a plan has to use that was made when a table was small.
_KEEP_PLANS: Final = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off"

Argument = str | None


class PreparedQuery(NamedTuple):
    """A query that is prepared by its name, and how the columns of what it finds are read."""

    name: bytes
    query: str
    columns: tuple[Callable[[bytes], Any], ...]

    def prepare(self, connection: Connection) -> None:
        """Before it is asked over a connection."""
        result = connection.pgconn.prepare(self.name, self.query.encode())
        if result.status != ExecStatus.COMMAND_OK:
            raise _error(result)

    def ask(self, connection: Connection, arguments: Iterable[Argument]) -> Sequence[rows.Row]:
        """All that it finds; a transaction of its own. Raises the errors of psycopg."""
        values = [*map(_bytes, arguments)]
        result = connection.pgconn.exec_prepared(self.name, values)  # type: ignore[arg-type]  # None is NULL
        if result.status != ExecStatus.TUPLES_OK:
            raise _error(result)
        return [
            tuple(
                None if (value := result.get_value(row, column)) is None else read(value)
                for column, read in enumerate(self.columns)
            )
            for row in range(result.ntuples)
        ]


_text = bytes.decode

# In one query, so that all is as of one moment; the first column says of what a row is.
_LOOK: Final = PreparedQuery(
    b"headgate_look",
    f"""
SELECT 0, revision, NULL, NULL, body, updated, live::int, NULL
FROM objects WHERE kind = $1 AND name = $2
UNION ALL
SELECT 1, number, id, type, body, at, NULL, NULL FROM messages
WHERE {statements.WAITING} AND to_kind = $1 AND to_name = $2
UNION ALL
SELECT 2, number, id, lane, action, not_before, attempts, error FROM outbox
WHERE owner_kind = $1 AND owner_name = $2
ORDER BY 1, 2""",  # noqa: S608 - our own words
    (int, int, _text, _text, _text, float, int, _text),
)
_PLACES: Final = ", ".join(f"${n}" for n in range(1, 38))
_COMMIT: Final = PreparedQuery(
    b"headgate_commit",
    f"""
SELECT number, id, owner_kind, owner_name, lane, action, attempts, not_before, error
FROM headgate_commit_1({_PLACES})""",  # noqa: S608 - our own words
    (int, *(_text,) * 5, int, float, _text),
)


def prepare(connection: Connection) -> None:
    """Before anything else here is asked over a connection."""
    connection.execute(_KEEP_PLANS)
    for each in (_LOOK, _COMMIT):
        each.prepare(connection)


def look(connection: Connection, key: Key) -> Sequence[Sequence[rows.Row]]:
    """The rows of an object, of its inbox and of its outbox."""
    record: list[rows.Row] = []
    inbox: list[rows.Row] = []
    outbox: list[rows.Row] = []
    for of, number, id_, what, body, at, count, error in _LOOK.ask(connection, key):
        if of == 0:
            record.append((*key, number, body, at, count))
        elif of == 1:
            inbox.append((number, *key, id_, what, body, at, None, None))
        else:
            outbox.append((number, id_, *key, what, body, count, at, error))
    return record, inbox, outbox


def commit(connection: Connection, arguments: Iterable[Argument]) -> Sequence[rows.Row]:
    """Make a commit; the outbox of the object that was put. An error has the code `CONFLICT` or
    `LOST`, or another one."""
    return _COMMIT.ask(connection, arguments)


def arguments(
    change: Transaction, now: float, tokens: Mapping[int, int], notify: str | None
) -> Sequence[Argument]:
    """Those of `commit`, which are of the function that the migration 0005 makes. `tokens` are the
    leases that it relies on, by shard; `notify` is what those who listen are told."""
    facts = sorted({*change.absent, *(fact.key for fact in change.facts)})
    return (
        repr(now),
        _bool(is_outcome(change)),
        notify,
        *_columns(2, tokens.items()),
        str(FACTS),
        *_columns(1, [(f"{kind}/{name}",) for kind, name in facts]),
        *_columns(2, change.absent),
        *_put(change.put),
        *_columns(1, [(id_,) for id_ in change.acknowledge]),
        *_columns(3, [rows.postponed(each) for each in change.postpone]),
        *_columns(3, [rows.fact_row(each, now)[:3] for each in change.facts]),
        *_columns(8, [rows.outbox_row(each) for each in change.enqueue]),
        *_columns(5, [rows.message_row(each, now)[:5] for each in change.send]),
        *_columns(1, [(number,) for number in change.consume]),
        *_columns(2, [rows.set_aside(each, now)[1:] for each in change.set_aside]),
    )


def _put(put: Put | None) -> Sequence[Argument]:
    if put is None:
        return (None,) * 5
    return (*put.key, str(put.revision), put.text, _bool(put.live))


def _columns(width: int, found: Iterable[Sequence[Any]]) -> Iterable[Argument]:
    """An array for each column of some rows; NULL if there are none."""
    columns = [*zip(*found, strict=True)]
    if not columns:
        return (None,) * width
    return [f"{{{','.join(map(_element, column))}}}" for column in columns]


def _element(value: str | float | None) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


def _bool(value: bool) -> str:
    return "t" if value else "f"


def _bytes(argument: Argument) -> bytes | None:
    if argument is None:
        return None
    if "\0" in argument:  # where libpq would take it to end
        raise psycopg.DataError("PostgreSQL text cannot contain NUL (0x00) bytes")
    return argument.encode()


def _error(result: PGresult) -> psycopg.Error:
    if not result.error_field(DiagnosticField.SQLSTATE):  # of libpq itself: the server is gone
        return psycopg.OperationalError(result.get_error_message())
    return psycopg.errors.error_from_result(result)
