"""What is kept of the accepted versions of a dataset: enough to compare the next one with them.

It travels as one small file. Each gate is given the file of the last accepted version before its
own, and writes one that covers its own version as well; which of these is handed on, the controller
decides once the version is accepted.
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from validators.data.history.distribution import Distribution
from validators.report import GateValue

MOST_VERSIONS: Final = 500
"""Versions whose size is remembered, the newest ones."""
MOST_OBJECTS: Final = 100_000
"""Objects of a version that are told apart from those of the next one."""
MOST_BYTES: Final = 64 << 20
"""The size up to which a file is read."""


class PastVersion(GateValue):
    """The size of an accepted version."""

    version: str
    at: float
    """When its run began, in seconds since the epoch."""
    rows: int
    new_objects: int
    """How many of its objects were not in the version before."""
    new_rows: int
    """How many rows these have."""


class PastColumn(GateValue):
    """A column of the last accepted version."""

    name: str
    type: str
    """The name of its Arrow type."""


class KeySample(GateValue):
    """A sample of all keys that accepted versions had, chosen by their hashes: those below the
    greatest one that it has. Equal keys are in all samples or in none, so what samples of two
    versions share tells what the versions share."""

    columns: tuple[str, ...]
    """What was hashed: each column with the name of its type, `id: int64`."""
    by: str
    """What hashed them: hashes of another version of it may be others."""
    is_complete: bool
    """Whether it has the hash of every key."""
    hashes: str
    """Sorted, eight bytes each, in base64."""

    @classmethod
    def of(cls, hashes: Any, columns: Sequence[str], by: str, *, is_complete: bool) -> "KeySample":
        """The sample with these hashes, a sorted numpy array of uint64."""
        text = base64.b64encode(hashes.astype("<u8").tobytes()).decode()
        return cls(columns=tuple(columns), by=by, is_complete=is_complete, hashes=text)

    @property
    def values(self) -> Any:
        """The hashes, as a sorted numpy array. Raises `ValueError` if they cannot be read."""
        import numpy as np

        return np.frombuffer(base64.b64decode(self.hashes, validate=True), "<u8")


class Past(GateValue):
    """What is known of the accepted versions before one."""

    format: Literal[1] = 1
    versions: tuple[PastVersion, ...] = ()
    """Oldest first."""
    columns: tuple[PastColumn, ...] = ()
    """Those of the last one, in order."""
    objects: tuple[str, ...] | None = None
    """What identifies the objects of the last one; None if they cannot be told apart."""
    distributions: Mapping[str, Distribution] = {}
    """Of columns of the last one, by name."""
    samples: Mapping[str, KeySample] = {}
    """Of the keys of all of them, by the names of the columns."""

    @property
    def last(self) -> PastVersion | None:
        """The last accepted version."""
        return self.versions[-1] if self.versions else None

    def write(self, path: Path) -> None:
        """Write it for the next judgement."""
        path.write_text(self.model_dump_json(), encoding="utf-8")


def read_past(path: str | None) -> Past:
    """What the file of an earlier judgement says; one that cannot be used is as none."""
    if path is None:
        return Past()
    try:
        if Path(path).stat().st_size > MOST_BYTES:
            return Past()
        return Past.model_validate_json(Path(path).read_bytes())
    except (OSError, ValidationError):
        return Past()
