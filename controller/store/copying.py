"""Copies a state from one store to another, whichever databases they are in."""

from contextlib import AbstractContextManager
from pathlib import Path

from controller.store.addresses import Address
from controller.store.sqlite_transfer import reading_file, writing_file
from controller.store.transfer import Transferred, TransferSource, TransferTarget, carry


def copy(source: Address, target: Address, *, replace: bool = False) -> Transferred:
    """Copy a state that no controller holds to another database, which is made if it is a file.

    Raises `NeedsHuman` if there is a state already, unless it is to be replaced; `TryAgain` if a
    controller holds one of them.
    """
    with _reading(source, sole=True) as reading, _writing(target) as writing:
        return carry(reading, writing, f"The state in {target}", replace=replace)


def _reading(address: Address, *, sole: bool) -> AbstractContextManager[TransferSource]:
    if isinstance(address, Path):
        return reading_file(address)
    from controller.store import postgres_transfer

    return postgres_transfer.reading(address, sole=sole)


def _writing(address: Address) -> AbstractContextManager[TransferTarget]:
    if isinstance(address, Path):
        return writing_file(address)
    from controller.store import postgres_transfer

    return postgres_transfer.writing(address)


def snapshot(address: Address) -> AbstractContextManager[TransferSource]:
    """What a state is at this moment, also beside a controller."""
    return _reading(address, sole=False)
