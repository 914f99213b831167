"""Ends the Job of an attempt in a cluster, with its pod."""

import time
from collections.abc import Iterable
from typing import Final

import structlog

from controller.executors.kubernetes.attempts import LiveJob
from controller.executors.kubernetes.interpret import SILENCE, is_failing
from controller.executors.kubernetes.job import GRACE_SECONDS
from controller.executors.kubernetes.names import ATTEMPT
from controller.executors.kubernetes.training import OUTPUT_SECONDS
from deployers.kubernetes.cluster import Cluster, Manifest
from specs.failures import TryAgain

log = structlog.get_logger("headgate.executor")

SHORTEST_GRACE: Final = 1
"""Seconds. Less would remove the pod's object before its processes."""


async def stop(cluster: Cluster, live: LiveJob, name: str) -> bool:
    """Have the Job of that name deleted with its pods; whether nothing of it is left."""
    try:
        if not live.deleting:
            await cluster.delete(live.kind, name, propagationPolicy="Foreground")
            live.deleting = True
        left = [one.pod["metadata"]["name"] for one in live.pods.values() if not one.gone]
        if left and live.asked_grace > live.grace:
            seconds = max(SHORTEST_GRACE, round(live.grace))
            for pod in left:
                await cluster.delete("pods", pod, gracePeriodSeconds=seconds)
            live.asked_grace = live.grace
            live.gone_at = time.monotonic() + seconds + SILENCE
        if left:
            return time.monotonic() > live.gone_at
        return await cluster.get(live.kind, name) is None
    except TryAgain as failure:
        log.info("an attempt cannot be stopped yet", id=live.attempt.id, reason=str(failure))
        return False


async def forgo_replacement(cluster: Cluster, live: LiveJob, name: str) -> None:
    """Delete the Job of a pod that the cluster ends: it might make another, which would run beside
    the attempt that the run makes. A TrainJob makes none; its pods are hastened."""
    ended = [
        one.pod
        for one in live.pods.values()
        if one.pod["metadata"].get("deletionTimestamp") and not one.gone
    ]
    if live.forgone or not ended:
        return
    try:
        if live.kind == "trainjobs":
            await _hasten(cluster, ended)
            return
        live.job = await cluster.get(live.kind, name) or live.job
        if live.job is not None and not is_failing(live.job):
            await cluster.delete(live.kind, name, propagationPolicy="Foreground")
        live.forgone = True
    except TryAgain as failure:
        log.info("a Job cannot be deleted yet", id=live.attempt.id, reason=str(failure))


async def remove(cluster: Cluster, kind: str, name: str) -> None:
    """Delete a Job or TrainJob of that name, with its pods. Raises `Failure`."""
    await cluster.delete(kind, name, propagationPolicy="Background")
    if kind == "trainjobs":
        pods, _ = await cluster.list("pods", labelSelector=f"{ATTEMPT}={name}")
        await _hasten(cluster, pods)


async def _hasten(cluster: Cluster, pods: Iterable[Manifest]) -> None:
    """Give pods of a TrainJob no more time to end than those of a Job have: they are given as much
    as storing the outputs may take, and a step that does not end when asked would take it all."""
    for pod in pods:
        meta = pod["metadata"]
        over = pod.get("status", {}).get("phase") in ("Succeeded", "Failed")
        if not over and meta.get("deletionGracePeriodSeconds", OUTPUT_SECONDS) > GRACE_SECONDS:
            await cluster.delete("pods", meta["name"], gracePeriodSeconds=GRACE_SECONDS)
