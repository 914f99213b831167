"""What a target saves of a place: a file in the home of all targets."""

import os
from pathlib import Path
from typing import ClassVar, Self

from deployers.place_folder import Site
from deployers.protocol import SavedValue


class SavedPlace(SavedValue):
    """Base of such values. The files are their owner's alone, as they may have secrets."""

    folder: ClassVar[str]
    """The folder of the target's places in the home of all targets."""

    @classmethod
    def load(cls, home: Path, place: str) -> Self | None:
        """What was saved of the place, or None."""
        try:
            return cls.model_validate_json(cls._file(home, place).read_bytes())
        except FileNotFoundError:
            return None

    def save(self, home: Path, place: str) -> None:
        """Save it, in one piece."""
        file = self._file(home, place)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = file.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(self.model_dump_json())
        new.replace(file)

    @classmethod
    def forget(cls, home: Path, place: str) -> None:
        """Delete what was saved of the place."""
        cls._file(home, place).unlink(missing_ok=True)

    @classmethod
    def _file(cls, home: Path, place: str) -> Path:
        return home / cls.folder / f"{Site.of(home, place).key}.json"
