"""The identity of an installation, by which its artifacts, Jobs and Secrets are known as its own.

It is random, and made by the first controller of a state. It is kept in that state, so that all
controllers that share one agree, and one that lost its disk is the same as before. A copy lies in
the home folder: a state that was lost gets it again, if that folder is still there.
"""

from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Final

from controller.machine.core import Fact, Key
from controller.store.protocol import Conflict, Store, StoreReader, Transaction

KEY: Final = Key("identity", "installation")
COPY: Final = "artifacts-owner"
"""The file with the copy. Older versions had the identity there only."""
_VALUE: Final = "value"


async def read_identity(store: StoreReader) -> str | None:
    """The identity in a state; None if no controller of this version has had it yet."""
    record = await store.get(KEY)
    return None if record is None else str(record.body[_VALUE])


async def ensure_identity(store: Store, home: Path, now: float) -> str:
    """The identity in a state, made if there is none: that of the home folder, if it has one.

    Of several controllers that begin at once the first decides. `now` is in seconds since the
    epoch.
    """
    found = await read_identity(store)
    if found is None:
        mine = Fact(key=KEY, body={_VALUE: _copy(home) or token_hex(8)})
        with suppress(Conflict):  # another was faster
            await store.commit(Transaction(facts=(mine,), absent=(KEY,)), now)
        found = await read_identity(store)
        assert found is not None, "an identity is never deleted"
    if _copy(home) != found:
        _write_copy(home, found)
    return found


def _write_copy(home: Path, identity: str) -> None:
    home.mkdir(parents=True, exist_ok=True)
    scratch = home / f".{COPY}-{token_hex(4)}"
    scratch.write_text(identity)
    scratch.replace(home / COPY)


def _copy(home: Path) -> str:
    try:
        return (home / COPY).read_text().strip()
    except FileNotFoundError:
        return ""
