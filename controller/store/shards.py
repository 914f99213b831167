"""PURE. Which controller has which part of the work, where several share it.

All that is of one pipeline is in one shard, its runs and its environments too, so that one
controller has it.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

from controller.machine.core import Key
from controller.machine.retention import pipeline_of

SHARDS = 64
"""How many there are. Controllers that share a database have to agree, so it never changes."""
LEADING = 0
"""Who holds this one does what is to be done once and not by each controller."""


class LeaseToken(NamedTuple):
    """A lease that something relies on; a later one of the same shard has a larger token."""

    shard: int
    token: int


@lru_cache(4096)
def shard_of(key: Key) -> int:
    """The shard of an object; that of a stall is the one of the object that stands still."""
    if key.kind == "stall":
        kind, _, name = key.name.partition("/")
        return shard_of(Key(kind, name))
    pipeline = pipeline_of(key)
    return _hash(pipeline or str(key)) % SHARDS


def shares(controllers: Collection[str]) -> Mapping[int, str]:
    """Who is to have each shard: nobody more than a fair share, and the more alike the controllers
    of two moments are, the fewer shards move (rendezvous hashing with bounded loads)."""
    if not controllers:
        return {}
    most = -(-SHARDS // len(set(controllers)))
    wishes: Iterator[tuple[int, int, str]] = (
        (_hash(f"{shard} {name}"), shard, name) for shard in range(SHARDS) for name in controllers
    )
    found: dict[int, str] = {}
    loads: Counter[str] = Counter()
    for _, shard, name in sorted(wishes, reverse=True):
        if shard not in found and loads[name] < most:
            found[shard] = name
            loads[name] += 1
    return found


def _hash(text: str) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big")
