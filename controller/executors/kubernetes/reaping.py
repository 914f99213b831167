"""Removes the Jobs of attempts that have ended, and what nobody asks for."""

import contextlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final

from controller.executors.attempt_folder import read_status
from controller.executors.kubernetes.attempts import FACT
from controller.executors.kubernetes.ending import remove
from controller.executors.kubernetes.names import job_name, kind_of
from controller.executors.kubernetes.tenancy import AttemptTenancy, attempt_of_object
from controller.executors.kubernetes.training import VERSION
from controller.machine.runs.attempt import Attempt
from controller.store.protocol import LostLease
from deployers.kubernetes.cluster import ApiRefusal, Cluster, Manifest, explained
from deployers.kubernetes.names import owned, selector
from specs.failures import TryAgain

LAUNCHED: Final = ("jobs", "trainjobs")
OF_TRAINING: Final = ("trainingruntimes", "networkpolicies")
"""What has the name of its TrainJob, and belongs to it unless its controller died before."""


class Reaper:
    """Removes objects of one owner, those of the attempts that are this controller's."""

    def __init__(
        self,
        cluster: Cluster,
        tenancy: AttemptTenancy,
        owner: str,
        folder: Callable[[str], Path],
        stray: float,
    ) -> None:
        """`folder` is that of an attempt. After `stray` seconds what nobody asked for is removed:
        runs that the home folder has no record of, as after its loss, find theirs before."""
        self._cluster = cluster
        self._tenancy = tenancy
        self._owner = owner
        self._folder = folder
        self._stray = stray

    async def reap(self, live: Collection[str]) -> int:
        """Remove what is not needed, and is not in `live`, by name; how much. Raises `Failure`."""
        trains = await self._has_trainer()
        left: list[tuple[Manifest, str]] = []
        for kind in LAUNCHED if trains else LAUNCHED[:1]:
            left += [(job, kind) for job in await self._listed(kind)]
        names = {_name(job) for job, _ in left}
        for kind in ("secrets", *(OF_TRAINING if trains else ())):
            left += [(each, kind) for each in await self._listed(kind) if _name(each) not in names]
        self._tenancy.forget_but({_name(each) for each, _ in left})
        removed = 0
        for each, kind in left:
            if _name(each) in live:
                continue
            with contextlib.suppress(LostLease):
                if self._is_of_nobody(each, kind):
                    await self._delete(kind, _name(each), attempt_of_object(each))
                    removed += 1
        return removed

    async def _listed(self, kind: str) -> list[Manifest]:
        """The owner's objects of a kind. Where it may not list those of training, it has none."""
        try:
            found, _ = await self._cluster.list(kind, labelSelector=selector(owned(self._owner)))
        except TryAgain as failure:
            if failure.human and kind in (LAUNCHED[1], *OF_TRAINING):
                return []
            raise
        return found

    def _is_of_nobody(self, obj: Manifest, kind: str) -> bool:
        """Whether its attempt has ended, or nobody has asked for it for a while. Raises `LostLease`
        if that is another controller's to say."""
        attempt = attempt_of_object(obj)
        self._tenancy.check(attempt)
        own = self._folder(attempt.replace("/", "_"))
        if kind in LAUNCHED and read_status(own) is not None:
            return True
        if kind in LAUNCHED and (own / FACT).exists():
            return False
        return self._tenancy.stray_for(_name(obj), attempt) >= self._stray

    async def remove(self, attempt_id: str) -> None:
        """Remove an attempt's Job or TrainJob. Raises `Failure`, and `LostLease` if it may be
        another's."""
        name = job_name(self._owner, attempt_id)
        try:
            fact = (self._folder(attempt_id) / FACT).read_bytes()
        except FileNotFoundError:  # it may be either
            await self._delete("jobs", name, attempt_id)
            if await self._has_trainer():
                with contextlib.suppress(TryAgain):  # it may have no right to
                    await self._delete("trainjobs", name, attempt_id)
        else:
            await self._delete(kind_of(Attempt.model_validate_json(fact)), name, attempt_id)

    async def _delete(self, kind: str, name: str, attempt_id: str) -> None:
        await remove(self._tenancy.cluster(attempt_id), kind, name)

    async def _has_trainer(self) -> bool:
        """Whether there can be TrainJobs."""
        try:
            await self._cluster.ask("GET", f"apis/{VERSION}")
        except ApiRefusal as refusal:
            if refusal.code == 404:
                return False
            raise explained(refusal, f"look for {VERSION}") from None
        return True


def _name(obj: Manifest) -> str:
    return str(obj["metadata"]["name"])
