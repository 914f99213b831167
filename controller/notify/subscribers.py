"""Whom a pipeline's spec wants notified of problems outside the pipeline's own machine."""

from controller.machine.core import Key, parsed
from controller.machine.pipelines.version import ModelVersion
from controller.store.protocol import Record, StoreReader


async def named(store: StoreReader, pipeline: Record) -> list[str]:
    """The `stuck` addresses of the pipeline's newest version; none before its first version."""
    newest = pipeline.body.get("versions", 0)
    record = await store.get(Key("model", f"{pipeline.key.name}/{newest}"))
    if record is None:
        return []
    version = parsed(ModelVersion, record.body)
    return [one.to for one in version.spec.notify if "stuck" in one.on]
