"""Removes from a cluster what attempts left there."""

from collections.abc import Callable
from typing import Final, Literal

from controller.executors.kubernetes.ending import remove
from controller.executors.kubernetes.names import selector
from controller.executors.kubernetes.training import VERSION
from deployers.kubernetes.cluster import ApiRefusal, Cluster, Manifest, explained

Standing = Literal["needed", "ended", "stray"]
"""Of a Job or TrainJob: whether its attempt goes on, has ended, or is one that nobody knows."""
_LAUNCHED: Final = ("jobs", "trainjobs")
_OF_TRAINING: Final = ("trainingruntimes", "networkpolicies")
"""What has the name of its TrainJob, and belongs to it unless its controller died before."""


async def reap(
    cluster: Cluster,
    owner: str,
    standing: Callable[[Manifest], Standing],
    needs: Callable[[str], bool],
    *,
    strays: bool,
) -> int:
    """Remove the Jobs of attempts that have ended, with `strays` also those that nobody knows, and
    what is without a Job; how many objects. `needs` tells whether a name is of a live attempt.

    Raises `Failure` if the cluster does not answer.
    """
    selected = selector(owner)
    trains = await _has_trainer(cluster)
    removed, names = 0, set()
    for kind in _LAUNCHED if trains else _LAUNCHED[:1]:
        for job in (await cluster.list(kind, labelSelector=selected))[0]:
            names.add(job["metadata"]["name"])
            found = standing(job)
            if found == "ended" or (found == "stray" and strays):
                await remove(cluster, kind, job["metadata"]["name"])
                removed += 1
    for kind in ("secrets", *(_OF_TRAINING if trains else ())):
        for obj in (await cluster.list(kind, labelSelector=selected))[0]:
            name = obj["metadata"]["name"]
            if strays and name not in names and not needs(name):
                await cluster.delete(kind, name)
                removed += 1
    return removed


async def _has_trainer(cluster: Cluster) -> bool:
    """Whether there can be TrainJobs."""
    try:
        await cluster.ask("GET", f"apis/{VERSION}")
    except ApiRefusal as refusal:
        if refusal.code == 404:
            return False
        raise explained(refusal, f"look for {VERSION}") from None
    return True
