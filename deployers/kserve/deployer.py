"""Deploy by KServe: write what should be, read what is."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from deployers.counting.reader import CounterReader
from deployers.kserve import knative, standard
from deployers.kserve.manifests import Arms, Predictor, percent_of, server_of
from deployers.kserve.objects import KServeObjects
from deployers.kserve.place import KServePlace
from deployers.kserve.predictors import as_it_runs, predictor
from deployers.kserve.seen import Seen
from deployers.kubernetes.cluster import Manifest
from deployers.kubernetes.place_cluster import PlaceCluster, anything
from deployers.kubernetes.settings import KServeMode, ServingCluster
from deployers.protocol import Deployed, Desired, Server, Traffic
from specs.failures import NeedsHuman, TryAgain

_LOOKS_TO_STOP: Final = 60
_BETWEEN: Final = 0.5
"""Seconds between these looks."""
_SOON: Final = 1.0
"""Seconds until it is looked again whether a canary has lost its traffic."""


class KServeDeployer:
    """A `Deployer` by InferenceServices, in the mode that the settings name."""

    def __init__(
        self,
        home: Path,
        serving: ServingCluster | None,
        counters: CounterReader,
        redact: Callable[[str], str],
        may: Callable[[str], bool] = anything,
    ) -> None:
        """`serving` is the cluster, if one is set; `may` says whether a place may be changed by
        this controller, just now."""
        self._home = home
        self._cluster = PlaceCluster(serving, may)
        self._objects = KServeObjects(self._cluster)
        self._counters = counters
        self._redact = redact
        self._locks: dict[str, asyncio.Lock] = {}

    async def apply(self, place: str, desired: Desired) -> None:
        """Write the next specification on the way to what is desired."""
        async with self._locks.setdefault(place, asyncio.Lock()):
            if desired.stable is None:
                if desired.canary is not None:
                    raise NeedsHuman(f"{place}: KServe serves no canary without a stable version")
                await self._objects.end(place)
                return
            self._keep(place, errors=desired.errors)
            servers = [desired.stable, *([desired.canary] if desired.canary is not None else [])]
            seen = await self._objects.look(place)
            self._check(place, seen)
            want = Arms(
                stable=self._predictor(place, desired.stable, seen),
                canary=self._predictor(place, servers[1], seen) if servers[1:] else None,
                percent=percent_of(desired.canary_weight),
            )
            spec = standard.plan(want, seen) if self._is_standard else knative.plan(want, seen)
            names = self._counted(seen)
            arms = [names.get(server.name, server.name) for server in servers]
            self._counters.changing(
                place, (arms[0], arms[1] if arms[1:] else None, desired.canary_weight)
            )
            await self._objects.write(place, spec, servers)
            await self._objects.forget_secrets(place, spec, servers)
            await self._confirm(place, desired.stable.name, desired.canary_weight, spec)

    async def observe(self, place: str) -> Deployed:
        """What runs. Raises TryAgain while the cluster cannot be asked."""
        seen = await self._objects.look(place)
        found = self._read(seen)
        self._keep(place, address=found.address)
        names = self._counted(seen)
        stable, canary = (names.get(arm or "") for arm in (found.stable, found.canary))
        self._counters.seen(place, (stable, canary, found.canary_weight))
        return found

    async def traffic(self, place: str, epoch: str | None, after: int) -> Traffic:
        """What the gateway's counters show. Raises TryAgain if none are configured."""
        counters = self._known.kserve.counters
        if counters is None:
            raise TryAgain(
                f"{place}: nothing tells of its traffic: name the gateway's counters in "
                "`kubernetes.serving.kserve.counters` of the settings",
                human=True,
            )
        return await self._counters.traffic(
            place,
            epoch,
            after,
            names=counters.names(),
            errors=(KServePlace.load(self._home, place) or KServePlace()).errors,
            split=self._known.kserve.split,
        )

    async def stop(self, place: str) -> None:
        """Delete the InferenceService, whose address comes back with its name, and wait for it."""
        await self._objects.end(place)
        for _ in range(_LOOKS_TO_STOP):
            if not await self._objects.has_pods(place):
                return
            await asyncio.sleep(_BETWEEN)
        raise TryAgain(f"{place}: pods still run although the InferenceService is deleted")

    async def remove(self, place: str) -> None:
        """Delete all of the place."""
        await self._objects.remove(place)
        self._counters.forget(place)
        KServePlace.forget(self._home, place)

    async def reap(self) -> int:
        """Nothing: KServe removes what belongs to no InferenceService."""
        return 0

    async def forget_logs(self, _before: float) -> int:
        """Nothing: the cluster keeps the logs."""
        return 0

    async def close(self) -> None:
        """Close the connections to the cluster."""
        await self._cluster.close()

    @property
    def _known(self) -> ServingCluster:
        return self._cluster.known

    @property
    def _mode(self) -> KServeMode:
        return self._known.kserve.mode

    @property
    def _is_standard(self) -> bool:
        return self._mode == "Standard"

    def _check(self, place: str, seen: Seen) -> None:
        """Raises a failure if the InferenceService of that name is not as Headgate made it."""
        if seen.service is None:
            return
        if not self._objects.is_ours(seen.service):
            raise NeedsHuman(
                f"{place}: the InferenceService {seen.name} is not this controller's; delete it, "
                "or give the controller another namespace, `kubernetes.serving.namespace`"
            )
        if seen.service["metadata"].get("deletionTimestamp"):
            raise TryAgain(f"{place}: the InferenceService {seen.name} is still being deleted")
        if seen.mode not in (None, self._mode):
            pipeline = place.partition("/")[0]
            raise NeedsHuman(
                f"{place}: KServe runs the InferenceService {seen.name} in {seen.mode} mode, and "
                f"`kubernetes.serving.kserve.mode` says {self._mode}: correct the "
                f"setting, or, with an interruption, `headgate down {pipeline}` and `headgate up`"
            )

    def _predictor(self, place: str, server: Server, seen: Seen) -> Predictor:
        made = predictor(server, self._cluster.at(place), self._mode)
        every = (seen.predictor, *(each["predictor"] for each in seen.spec.get("canary") or ()))
        live = next((each for each in every if server_of(each) == server.name), None)
        return as_it_runs(made, live, self._known.image) if live is not None else made

    async def _confirm(self, place: str, stable: str, weight: float, spec: Manifest) -> None:
        """Look whether the cluster took it, and whether a canary that should have no traffic, or
        some, has it. Raises a failure if not."""
        seen = await self._objects.look(place)
        if spec.get("canary") and not seen.spec.get("canary"):
            raise NeedsHuman(
                f"{place}: this KServe knows no `spec.canary`: install 0.21 or later, or set "
                "`kubernetes.serving.kserve.mode: Knative` if Knative is installed"
            )
        if self._is_standard and standard.is_unrouted(seen):
            raise TryAgain(f"{place}: the canary is ready, but {standard.NOT_SPLIT}", human=True)
        left = self._read(seen)
        if left.canary_weight and not weight and left.canary != stable:
            raise TryAgain(
                f"{place}: the canary still has {left.canary_weight:.0%} of the traffic instead "
                "of none",
                after=_SOON,
            )

    def _read(self, seen: Seen) -> Deployed:
        if seen.service is None:
            return Deployed()
        if self._is_standard:
            return standard.deployed(seen, self._redact)
        return knative.deployed(seen, self._redact)

    def _counted(self, seen: Seen) -> Mapping[str, str]:
        """By what names counters know the servers."""
        return standard.counted(seen) if self._is_standard else knative.counted(seen)

    def _keep(self, place: str, **known: object) -> None:
        """Note it, if it is not as noted."""
        kept = KServePlace.load(self._home, place) or KServePlace()
        new = kept.model_copy(update=known)
        if new != kept:
            new.save(self._home, place)
