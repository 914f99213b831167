"""PURE. Reading an environment.yml of conda."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from specs.loading.tree import parse
from specs.projects.lock_reading import MOST_NAMES, LockReading
from specs.projects.paths import bare

PROGRAMS: Final = ("micromamba", "mamba", "conda")
"""The programs that can build an environment from it; the first installed one is used."""
_PINNED: Final = re.compile(r"[^=<>!~\s]+\s*={1,2}\s*[^=<>!~*\s]+(=\S+)?")


def read_conda(
    text: str, groups: Sequence[str], extras: Sequence[str], reading: LockReading
) -> None:
    """Read the file into `reading`."""
    tree = parse(text)
    plain = tree.root.plain if tree.root is not None else None
    asked = plain.get("dependencies") if isinstance(plain, dict) else None
    if tree.faults or not isinstance(asked, list):
        reading.wrong(f"{reading.lock} cannot be read: expected a list of `dependencies`")
        return
    reading.unknown("groups", groups, ())
    reading.unknown("extras", extras, ())
    for channel in plain.get("channels") or () if isinstance(plain, dict) else ():
        reading.index(str(channel))
    loose = [name for name in _names(asked) if not _PINNED.fullmatch(name)]
    if loose:
        more = f" and {len(loose) - MOST_NAMES} more" if len(loose) > MOST_NAMES else ""
        named = ", ".join(map(bare, loose[:MOST_NAMES]))
        reading.warn(
            f"{reading.lock} does not pin {named}{more}: a later build of the same file may "
            "differ; `conda env export --no-builds` writes what is installed"
        )


def _names(asked: Sequence[object]) -> Iterator[str]:
    for each in asked:
        if isinstance(each, dict):
            yield from (str(one) for one in each.get("pip") or ())
        else:
            yield str(each)
