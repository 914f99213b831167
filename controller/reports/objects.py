"""PURE. How the objects of a dataset differ between two of its versions."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from specs.digests import ManifestEntry

NAMED = 3
"""New objects that are named: the last by their keys, which often hold dates."""


class Moved(NamedTuple):
    """What came, went and was replaced."""

    objects: int
    """How many there are now."""
    added: int = 0
    replaced: int = 0
    gone: int = 0
    newest: tuple[str, ...] = ()
    """The last keys of those that were added."""


def moved(was: Iterable[ManifestEntry], now: Iterable[ManifestEntry]) -> Moved:
    """Both in the order of their keys; in bounded memory."""
    before = iter(was)
    old = next(before, None)
    objects = added = replaced = gone = 0
    newest: deque[str] = deque(maxlen=NAMED)
    for entry in now:
        objects += 1
        while old is not None and old.key < entry.key:
            gone, old = gone + 1, next(before, None)
        if old is not None and old.key == entry.key:
            replaced += old.version != entry.version
            old = next(before, None)
        else:
            added += 1
            newest.append(entry.key)
    while old is not None:
        gone, old = gone + 1, next(before, None)
    return Moved(objects, added, replaced, gone, tuple(newest))
