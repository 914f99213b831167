"""The cache of nodes' results."""

from collections.abc import Collection, Iterable, Mapping

from controller.artifacts import Artifacts
from controller.machine.runs import needs
from controller.machine.runs.run import CachedResult, ObservedRun, Run
from controller.store.protocol import StoreReader


async def look_up(store: StoreReader, artifacts: Artifacts, key: str) -> CachedResult | None:
    """The earlier result of a node with this key; None if there is none, or if some of its outputs
    were swept or damaged since. Raises what `Artifacts.has` raises."""
    found = await _results(store, {key})
    await _forget_lost(artifacts, found, {key})
    return found[key]


async def with_results(
    store: StoreReader,
    artifacts: Artifacts,
    run: Run,
    observed: ObservedRun,
    likely: Iterable[str] = (),
) -> ObservedRun:
    """What was observed of the run, and what the cache has for its nodes. A hit makes the keys of
    the next nodes known, so this asks once for each level of the graph; `likely` keys are asked for
    with the first, which is all if they are right. Raises what `Artifacts.has` raises.
    """
    found: dict[str, CachedResult | None] = {}
    known, reused, extra = run, set[str](), set(likely)
    while True:
        observed = observed.model_copy(update={"cache": dict(found)})
        keys = needs.cache_keys(known, observed)
        known, reused = keys.run, reused | keys.reused
        if keys.unknown:
            found |= await _results(store, keys.unknown | extra)
            extra.clear()
            if not reused and all(found[key] is None for key in keys.unknown):
                return observed.model_copy(update={"cache": found})  # no key follows from a miss
        elif await _forget_lost(artifacts, found, reused):
            known, reused = run, set()
        else:
            return observed


async def keys_of_last_run(store: StoreReader, pipeline: str) -> list[str]:
    """The cache keys of the run of a pipeline that changed last."""
    records = await store.list("run", f"{pipeline}-", limit=1)
    nodes = [node for record in records for node in record.body["nodes"].values()]
    return [node["key"] for node in nodes if node["key"] is not None]


async def _results(store: StoreReader, keys: Collection[str]) -> dict[str, CachedResult | None]:
    records = await store.get_all("cache", keys)
    return {
        key: CachedResult.model_validate_json(records[key].text) if key in records else None
        for key in keys
    }


async def _forget_lost(
    artifacts: Artifacts, found: dict[str, CachedResult | None], reused: Collection[str]
) -> bool:
    """Make None of the results to be reused whose outputs are not there any more; whether there
    were any."""
    outputs: Mapping[str, set[str]] = {
        key: set(hit.outputs.values()) for key in reused if (hit := found.get(key)) is not None
    }
    lacking = await artifacts.lacking(set().union(*outputs.values()))
    lost = [key for key, digests in outputs.items() if digests & lacking]
    found |= dict.fromkeys(lost)
    return bool(lost)
