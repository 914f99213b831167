"""The numbers of a pipeline's runs, of which the old ones are not stored any more."""

from controller.machine.core import Key
from controller.store.protocol import StoreReader

_LATEST = 20
"""How many runs are looked at. Of those in progress at a time the last may be the first to end."""


async def last_number(store: StoreReader, pipeline: str) -> int:
    """The number of the pipeline's last run; 0 if it has had none."""
    state = await store.get(Key("pipeline", pipeline))
    latest = await store.list("run", f"{pipeline}-", _LATEST)
    numbers = [int(record.body["number"]) for record in latest]
    return max([*numbers, int(state.body.get("runs", 0)) if state else 0])


def split(run: str) -> tuple[str, int]:
    """The pipeline and the number in the id of a run; the number is 0 if it is no such id."""
    pipeline, _, number = run.rpartition("-")
    return pipeline, int(number) if pipeline and number.isdecimal() else 0
