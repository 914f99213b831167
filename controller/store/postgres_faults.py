"""What an error of PostgreSQL means for the one who called, and the fix."""

import re
from typing import Final

import psycopg

from controller.store.addresses import PostgresAddress
from controller.store.protocol import StoreAway
from specs.failures import Failure, NeedsHuman, TryAgain

CACHED_PLAN: Final = "0A000"
"""What a prepared statement ends with after a column has changed its type."""
READ_ONLY: Final = "25006"
"""What a write ends with at a server that is a standby, also one that has just become it."""
RETRIED: Final = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
"""Errors after which the same transaction succeeds."""

_PASSING: Final = {
    READ_ONLY: "it is a standby, or was set read-only; a fail-over may be in progress",
    "53300": "it has no connection left",
    "55P03": "another process holds a lock for too long",
    "57014": "it took too long",
    CACHED_PLAN: "its schema has just been changed",
}
"""Errors that pass, by their codes."""
_AWAY: Final = ("", "08", "53", "57")
"""Classes of codes of a server that cannot do it now; and none, if it was not the server that said
something."""
_FIXES: Final = {
    "53100": "The disk of the server is full. Free some space there; nothing that was saved is "
    "lost.",
    "42501": "Give the user of the address the right to write the tables and to create them.",
    "XX001": "The server's data are damaged. Restore a backup with `headgate restore`.",
    "XX002": "The server's data are damaged. Restore a backup with `headgate restore`.",
}
_ONLY_A_PERSON: Final = re.compile(
    r"authentication failed|no password supplied|does not exist|no pg_hba\.conf|permission denied"
    r"|invalid connection option|invalid .* value",
    re.IGNORECASE,
)
"""Why a connection is refused until somebody changes something; libpq gives no code for it."""
_UNKNOWN_HOST: Final = re.compile(
    r"name or service not known|nodename nor servname|no address associated", re.IGNORECASE
)


def explained(error: psycopg.Error, address: PostgresAddress) -> Failure:
    """The failure that an error is, with the database and the fix in its text."""
    said = " ".join(str(error).split()) or type(error).__name__
    code = error.sqlstate or ""
    if code in _PASSING:
        return TryAgain(f"State in {address}: {_PASSING[code]} ({said}).")
    if code in _FIXES:
        return NeedsHuman(f"State in {address}: {said}. {_FIXES[code]}")
    if isinstance(error, RETRIED):
        return TryAgain(f"State in {address}: other processes wrote the same ({said}).")
    away = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    if away and code[:2] in _AWAY:
        if _ONLY_A_PERSON.search(said):
            return NeedsHuman(
                f"State in {address}: {said}. Correct `store` in the settings, the secrets that it "
                "names, or the rights on the server. `headgate doctor` checks it."
            )
        # A name that nobody knows is more likely wrong than away.
        kind = TryAgain if _UNKNOWN_HOST.search(said) else StoreAway
        return kind(f"State in {address}: it is out of reach ({said}).")
    return NeedsHuman(
        f"State in {address}: {said}. PostgreSQL refuses it, which is an internal error of "
        "Headgate. `headgate doctor` checks it."
    )


def newer(found: str, known: str, address: PostgresAddress) -> NeedsHuman:
    """The failure of a schema that a newer Headgate made."""
    return NeedsHuman(
        f"State in {address}: a newer Headgate, or another program, made its tables (the schema is "
        f"{found}; this one knows {known} at the newest). Install that version again, or give "
        "Headgate a database of its own. `headgate doctor` checks it."
    )


def older(address: PostgresAddress) -> TryAgain:
    """The failure of a database that this version has not brought to its schema yet."""
    return TryAgain(
        f"State in {address}: an older Headgate wrote it, or none has yet. `headgate up` brings it "
        "to this version."
    )


def held(address: PostgresAddress) -> TryAgain:
    """The failure of a database that another controller has."""
    return TryAgain(
        f"State in {address}: another controller holds it, or a command that restores or copies "
        "it. Stop that first, give this one a database of its own, or let all of them share it "
        "(`controllers: several`)."
    )


def lost(address: PostgresAddress) -> TryAgain:
    """The failure of a database that is another than before, or went back in time."""
    return TryAgain(
        f"State in {address}: another server has taken over, which may not have what was saved "
        "last. The controller begins anew with what is there."
    )
