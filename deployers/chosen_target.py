"""Which target a place was last deployed to: a file in the home of all targets."""

from pathlib import Path
from typing import Final

from deployers.place_folder import Site

DEFAULT: Final = "local"
"""The target of a place that has chosen none."""
_CHOSEN: Final = "targets"


def chosen(home: Path, place: str) -> str | None:
    """The name of the target that the place was deployed to; None if it never was."""
    try:
        return _file(home, place).read_text()
    except FileNotFoundError:
        return None


def choose(home: Path, place: str, name: str) -> None:
    """Remember the target of a place."""
    file = _file(home, place)
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text(name)
    new.replace(file)


def forget_choice(home: Path, place: str) -> None:
    """Forget the target of a place."""
    _file(home, place).unlink(missing_ok=True)


def _file(home: Path, place: str) -> Path:
    return home / _CHOSEN / f"{Site.of(home, place).key}.txt"
