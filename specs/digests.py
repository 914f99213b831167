"""Digests identify content: equal content has equal digests."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from operator import attrgetter

Json = Mapping[str, "Json"] | Sequence["Json"] | str | int | float | bool | None


def canonical_json(value: Json) -> bytes:
    """The one JSON text of a value: keys sorted, no spaces, UTF-8.

    Raises ValueError for NaN, infinity and text that is not Unicode, TypeError for anything else
    that is not JSON.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest(content: bytes | Json) -> str:
    """`sha256:` and 64 hex digits, of the given bytes or of a value's canonical JSON."""
    data = content if isinstance(content, bytes) else canonical_json(content)
    return "sha256:" + hashlib.sha256(data).hexdigest()


def short(full: str) -> str:
    """The first twelve hex digits, for people."""
    return full.rpartition(":")[2][:12]


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One object of a dataset: its key, its size in bytes, and the etag or version that pins it."""

    key: str
    size: int
    version: str


_key = attrgetter("key")


@dataclass(frozen=True)
class Manifest:
    """The objects of one dataset version, sorted by key.

    Raises ValueError if two entries have the same key.
    """

    entries: tuple[ManifestEntry, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "entries", tuple(sorted(self.entries, key=_key)))
        for one, other in pairwise(self.entries):
            if one.key == other.key:
                raise ValueError(f"the manifest lists {one.key!r} more than once")

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[ManifestEntry]:
        return iter(self.entries)

    @cached_property
    def digest(self) -> str:
        """The dataset version: the digest of all entries."""
        return digest([[entry.key, entry.size, entry.version] for entry in self.entries])

    @property
    def size(self) -> int:
        """The total size of all objects, in bytes."""
        return sum(entry.size for entry in self.entries)
