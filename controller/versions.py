"""Model versions, as the store has them."""

from controller.machine.core import Key
from controller.machine.version import ModelVersion
from controller.outbox import parsed
from controller.store.protocol import Store


class Versions:
    """Reads model versions. They never change, so each is read once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[str, int], ModelVersion] = {}

    async def get(self, pipeline: str, number: int) -> ModelVersion | None:
        """The version of that number, or None."""
        found = self._known.get((pipeline, number))
        if found is None:
            record = await self._store.get(Key("model", f"{pipeline}/{number}"))
            if record is None:
                return None
            found = parsed(ModelVersion, record.body)
            self._known[pipeline, number] = found
        return found
