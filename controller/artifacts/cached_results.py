"""The cache of nodes' results."""

from controller.artifacts import Artifacts
from controller.machine.core import Key, parsed
from controller.machine.runs.run import CachedResult
from controller.store.protocol import StoreReader


async def look_up(store: StoreReader, artifacts: Artifacts, key: str) -> CachedResult | None:
    """What a node with this key made before; None if nothing did, or if some of it is not stored
    any more: swept, or damaged. Raises what `Artifacts.has` raises."""
    record = await store.get(Key("cache", key))
    if record is None:
        return None
    hit = parsed(CachedResult, record.body)
    for digest in hit.outputs.values():
        if not await artifacts.has(digest):
            return None
    return hit
