"""Ends the Job of an attempt in a cluster, with its pod."""

import time
from typing import Final

import structlog

from controller.executors.kubernetes.attempts import LiveJob
from controller.executors.kubernetes.interpret import SILENCE, is_failing
from deployers.kubernetes.cluster import Cluster
from specs.failures import TryAgain

log = structlog.get_logger("headgate.executor")

SHORTEST_GRACE: Final = 1
"""Seconds. Less would remove the pod's object before its processes."""


async def stop(cluster: Cluster, live: LiveJob, name: str) -> bool:
    """Have the Job of that name deleted with its pod; whether nothing of it is left."""
    try:
        if not live.deleting:
            await cluster.delete("jobs", name, propagationPolicy="Foreground")
            live.deleting = True
        if live.pod is not None and not live.gone and live.asked_grace > live.grace:
            seconds = max(SHORTEST_GRACE, round(live.grace))
            pod = live.pod["metadata"]["name"]
            await cluster.delete("pods", pod, gracePeriodSeconds=seconds)
            live.asked_grace = live.grace
            live.gone_at = time.monotonic() + seconds + SILENCE
        if live.pod is not None and not live.gone:
            return time.monotonic() > live.gone_at
        return await cluster.get("jobs", name) is None
    except TryAgain as failure:
        log.info("an attempt cannot be stopped yet", id=live.attempt.id, reason=str(failure))
        return False


async def forgo_replacement(cluster: Cluster, live: LiveJob, name: str) -> None:
    """Delete the Job of a pod that the cluster ends: it might make another, which would run beside
    the attempt that the run makes."""
    if live.forgone or live.pod is None or not live.pod["metadata"].get("deletionTimestamp"):
        return
    try:
        live.job = await cluster.get("jobs", name) or live.job
        if live.job is not None and not is_failing(live.job):
            await cluster.delete("jobs", name, propagationPolicy="Foreground")
        live.forgone = True
    except TryAgain as failure:
        log.info("a Job cannot be deleted yet", id=live.attempt.id, reason=str(failure))
