"""Removes the Jobs of attempts that have ended, and what nobody asks for."""

import contextlib
from collections.abc import Callable, Collection
from pathlib import Path

from controller.executors.attempt_folder import read_status
from controller.executors.kubernetes.attempts import FACT
from controller.executors.kubernetes.names import job_name
from controller.executors.kubernetes.tenancy import AttemptTenancy, attempt_of_object
from controller.store.protocol import LostLease
from deployers.kubernetes.cluster import Cluster, Manifest
from deployers.kubernetes.names import owned, selector


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
        selected = selector(owned(self._owner))
        jobs, _ = await self._cluster.list("jobs", labelSelector=selected)
        secrets, _ = await self._cluster.list("secrets", labelSelector=selected)
        names = {_name(job) for job in jobs}
        left = [(job, "jobs") for job in jobs]
        left += [(secret, "secrets") for secret in secrets if _name(secret) not in names]
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

    def _is_of_nobody(self, obj: Manifest, kind: str) -> bool:
        """Whether its attempt has ended, or nobody has asked for it for a while. Raises `LostLease`
        if that is another controller's to say."""
        attempt = attempt_of_object(obj)
        self._tenancy.check(attempt)
        own = self._folder(attempt.replace("/", "_"))
        if kind == "jobs" and read_status(own) is not None:
            return True
        if kind == "jobs" and (own / FACT).exists():
            return False
        return self._tenancy.stray_for(_name(obj), attempt) >= self._stray

    async def remove(self, attempt_id: str) -> None:
        """Remove an attempt's Job. Raises `Failure`, and `LostLease` if it may be another's."""
        await self._delete("jobs", job_name(self._owner, attempt_id), attempt_id)

    async def _delete(self, kind: str, name: str, attempt_id: str) -> None:
        cluster = self._tenancy.cluster(attempt_id)
        await cluster.delete(kind, name, propagationPolicy="Background")


def _name(obj: Manifest) -> str:
    return str(obj["metadata"]["name"])
