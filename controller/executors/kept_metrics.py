"""What data gates measured about the objects of datasets, by the address of the dataset.

It is only ever a saving: a gate that is given nothing measures everything, with the same result.
"""

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOUND: Final = "metrics.json"
"""The file that a gate writes beside its report."""
MOST_BYTES: Final = 256 << 20
"""A file that is larger is not kept."""
_MOST_DATASETS: Final = 500
_READABLE: Final = 0o644
_ENTERED: Final = 0o711


@dataclass(frozen=True)
class KeptMetricFiles:
    """One file per dataset, in a folder that gates may read from but not list."""

    home: Path

    def known(self, uri: str) -> Path | None:
        """The file of a dataset; None if there is none yet."""
        path = self._path(uri)
        return path if path.is_file() else None

    def keep(self, uri: str, found: Path) -> None:
        """Move a file that a gate wrote to the dataset's place; the last gate to end counts.

        The file and its folder must belong to the controller. What cannot be kept is let go of.
        """
        with suppress(OSError):
            if found.is_symlink() or not 0 < found.stat().st_size <= MOST_BYTES:
                return
            self.home.mkdir(mode=_ENTERED, parents=True, exist_ok=True)
            found.chmod(_READABLE)
            found.replace(self._path(uri))
            self._let_go()

    def _path(self, uri: str) -> Path:
        return self.home / f"{hashlib.sha256(uri.encode()).hexdigest()}.json"

    def _let_go(self) -> None:
        """Delete the files of the datasets that were judged longest ago, if there are too many."""
        with os.scandir(self.home) as entries:
            every = sorted(entries, key=lambda one: one.stat().st_mtime)
        for entry in every[: len(every) - _MOST_DATASETS]:
            Path(entry.path).unlink(missing_ok=True)
