"""Notices pods of stable servers that run without answering, so that they are replaced.

The cluster's own liveness probe is not used: it would kill a server that answers that it is not
ready, and a canary, whose failures are the judge's evidence.
"""

import time
from collections.abc import Mapping
from typing import Final

from deployers.kubernetes.servers import PATIENCE, RUN
from deployers.kubernetes.status import ServedObjects, is_running
from deployers.liveness import Patience, Signs, bears, hangs, look
from specs.figures import duration

_ANSWERED: Final = "statuscode"
"""What the kubelet says of a probe that was answered, with a status that is not a success."""


class PodHangs:
    """What was seen of the pods of stable servers, in memory only: after a restart of the
    controller, each has its full time again."""

    def __init__(self) -> None:
        self._signs: dict[str, dict[str, Signs]] = {}
        """By server, and by the uid of its pod."""
        self._hung: dict[str, tuple[str, ...]] = {}

    def look(self, name: str, seen: ServedObjects, answers: int) -> str:
        """Look at the pods of a stable server; why some count as hung, in words, or nothing.
        `answers` counts its responses to callers."""
        now, patience = time.monotonic(), patience_of(seen)
        alone = len(seen.pods) == 1  # else nobody knows whose responses they were
        hung, words = [], ""
        before, after = self._signs.get(name, {}), dict[str, Signs]()
        for pod in (one for one in seen.pods if is_running(one, RUN)):
            key = str(pod["metadata"]["uid"])
            heard = _is_ready(pod) or _ANSWERED in seen.probes.get(pod["metadata"]["name"], "")
            signs = look(before.get(key), now, ready=heard, answers=answers if alone else 0)
            after[key] = signs
            if hangs(signs, patience, now):
                hung.append(str(pod["metadata"]["name"]))
                silent, most = duration(now - signs.last), duration(bears(signs, patience))
                words = f"nothing was answered for {silent}; it is restarted after {most}"
        self._signs[name], self._hung[name] = after, tuple(hung)
        return words

    def take(self, name: str) -> tuple[str, ...]:
        """The names of a server's pods that the last look found to hang. They are told once."""
        return self._hung.pop(name, ())


def patience_of(seen: ServedObjects) -> Patience:
    """How long a server may be silent."""
    said = seen.deployment["metadata"]["annotations"].get(PATIENCE, "30 60")
    hung_after, startup = map(float, said.split())
    return Patience(hung_after, startup)


def _is_ready(pod: Mapping[str, object]) -> bool:
    status = pod.get("status")
    assert isinstance(status, Mapping)
    found = status.get("conditions") or ()
    return any(each["type"] == "Ready" and each["status"] == "True" for each in found)
