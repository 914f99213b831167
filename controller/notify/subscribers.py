"""Whom a pipeline's specs name, for what its machine cannot tell of itself."""

from controller.machine.core import Key, parsed
from controller.machine.pipelines.version import ModelVersion
from controller.store.protocol import Record, StoreReader


async def named(store: StoreReader, pipeline: Record) -> list[str]:
    """Whom the pipeline's newest version names; before the first, only the settings do."""
    newest = pipeline.body.get("versions", 0)
    record = await store.get(Key("model", f"{pipeline.key.name}/{newest}"))
    if record is None:
        return []
    version = parsed(ModelVersion, record.body)
    return [one.to for one in version.spec.notify if "stuck" in one.on]
