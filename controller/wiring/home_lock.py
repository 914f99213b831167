"""The lock of the home folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from specs.failures import NeedsHuman

LOCK = "controller.lock"
CONTROLLER = "another controller runs on {home}; stop it first, or set `home` to another folder"
RUN = (
    "another `headgate run` of this clone is in progress (it uses {home}); wait for it, or give "
    "this one a folder of its own with `--home FOLDER`"
)


@contextmanager
def only_one(home: Path, taken: str = CONTROLLER) -> Iterator[None]:
    """Hold the lock of the home folder, which one controller may have.

    Raises `NeedsHuman`: if another has it, with the words `taken`.
    """
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o700)  # it may have been created by hand, or by an older controller
        if not any(home.iterdir()):  # it may be in a working copy, and must not be committed
            (home / ".gitignore").write_text("*\n")
        lock = os.open(home / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise NeedsHuman(
            f"the home folder {home} cannot be used ({error.strerror}); fix it, or set `home` "
            "in the settings to another"
        ) from None
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise NeedsHuman(taken.format(home=home)) from None
    try:
        yield
    finally:
        os.close(lock)
