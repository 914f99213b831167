"""Model versions, as the store has them."""

from controller.machine.actions import Deploy
from controller.machine.core import Key, parsed
from controller.machine.environments.environment import EnvironmentState
from controller.machine.pipelines.version import ModelVersion
from controller.machine.runs.graph import Baseline
from controller.store.protocol import StoreReader


class Versions:
    """Reads model versions. They never change, so each is read once."""

    def __init__(self, store: StoreReader) -> None:
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

    async def last_deploy(self, place: str) -> Deploy | None:
        """The last deployment that was asked for in an environment. If that was to end everything,
        one of the version that was there before."""
        record = await self._store.get(Key("environment", place))
        if record is None:
            return None
        env = parsed(EnvironmentState, record.body)
        asked = env.deploy
        if asked is None or asked.stable is not None or asked.canary is not None:
            return asked
        before = next((ref.version for ref in env.former), None)
        return asked.model_copy(update={"stable": before})

    async def baseline(self, pipeline: str) -> Baseline | None:
        """The version that is in production, as a run is held against it."""
        record = await self._store.get(Key("environment", f"{pipeline}/production"))
        stable = parsed(EnvironmentState, record.body).stable if record else None
        version = await self.get(pipeline, stable.version) if stable else None
        if version is None:
            return None
        return Baseline(
            version=version.number,
            digest=version.digest,
            model=version.model,
            spec=version.spec,
            source=version.source,
        )
