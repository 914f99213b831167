"""Whose attempts may be started and ended in a cluster by this controller, just now.

Several controllers with one identity share a cluster, and each changes there what is of the
pipelines that it has leases for. That is asked just before each call. A call that is sent in spite
of it, by a process that was paused between the two, finds what the next holder made: an attempt's
Job has the same name and content whoever creates it, so it is not there twice.
"""

import time
from collections.abc import Collection
from typing import Final

from controller.executors.kubernetes.names import ATTEMPT
from controller.machine.environments.job import owner_of
from controller.reconcile.tenure import Tenure
from controller.store.protocol import LostLease
from controller.store.shards import LeaseToken
from deployers.kubernetes.cluster import Cluster, Manifest

_NOBODY: Final = "another controller may have the pipeline of {attempt}"


class AttemptTenancy:
    """What a controller may do with attempts in a cluster."""

    def __init__(self, tenure: Tenure, cluster: Cluster) -> None:
        self._tenure = tenure
        self._cluster = cluster
        self._opened = time.monotonic()
        self._seen: dict[tuple[str, int], tuple[LeaseToken, float]] = {}

    def holds(self, attempt_id: str) -> bool:
        """Whether the attempt is this controller's."""
        return self._tenure.holds(owner_of(attempt_id))

    def check(self, attempt_id: str) -> None:
        """Raise `LostLease` if it is not."""
        if not self.holds(attempt_id):
            raise LostLease(_NOBODY.format(attempt=attempt_id))

    def cluster(self, attempt_id: str) -> Cluster:
        """The cluster, for calls that are made for the attempt."""
        return self._cluster.permitted(lambda: self.check(attempt_id))

    def held_since(self, attempt_id: str) -> float:
        """A moment at which the attempt was this controller's already, the same for as long as it
        is; by `time.monotonic`. Raises `LostLease` if it is not."""
        return self._since("", attempt_id)

    def stray_for(self, name: str, attempt_id: str) -> float:
        """For how many seconds an object that no run has asked for has been this controller's to
        remove: since it was first seen so under this lease, or since the start if it has all."""
        return time.monotonic() - self._since(name, attempt_id)

    def _since(self, name: str, attempt_id: str) -> float:
        """When the same was asked first under this lease."""
        token = self._tenure.token(owner_of(attempt_id))
        now = time.monotonic()
        if token is None:
            return self._opened
        known = self._seen.get((name, token.shard))
        if known is None or known[0] != token:
            known = self._seen[name, token.shard] = (token, now)
        return known[1]

    def forget_but(self, names: Collection[str]) -> None:
        """Forget objects that are gone."""
        self._seen = {key: seen for key, seen in self._seen.items() if key[0] in ("", *names)}


def attempt_of_object(obj: Manifest) -> str:
    """The id of the attempt that an object is for; its name if that says nothing of it."""
    about = obj["metadata"]
    return str(about.get("annotations", {}).get(ATTEMPT) or about["name"])
