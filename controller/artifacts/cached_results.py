"""The cache of nodes' results."""

from controller.artifacts import Artifacts
from controller.machine.core import Key, parsed
from controller.machine.runs.run import CachedResult
from controller.store.protocol import StoreReader


async def look_up(store: StoreReader, artifacts: Artifacts, key: str) -> CachedResult | None:
    """The earlier result of a node with this key; None if there is none, or if some of its outputs
    were swept or damaged since. Raises what `Artifacts.has` raises."""
    record = await store.get(Key("cache", key))
    if record is None:
        return None
    hit = parsed(CachedResult, record.body)
    for digest in hit.outputs.values():
        if not await artifacts.has(digest):
            return None
    return hit
