"""The logs of containers, and how they are asked for."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from tests.doubles.kubernetes.api.calls import ApiCall, ApiReply
from tests.doubles.kubernetes.api.verbs import Verbs
from tests.doubles.kubernetes.base.clock import from_stamp
from tests.doubles.kubernetes.base.objects import Obj, dig
from tests.doubles.kubernetes.base.refusals import StatusError, bad_request


class ContainerLog:
    """What a container wrote: lines with the time of each, in seconds since the epoch."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.lines: list[tuple[float, bytes]] = []
        self.ended = False

    def add(self, when: float, line: bytes) -> None:
        with self.changed:
            self.lines.append((when, line))
            self.changed.notify_all()

    def end(self) -> None:
        with self.changed:
            self.ended = True
            self.changed.notify_all()


class LogSource(Protocol):
    """Where logs come from: the kubelets."""

    def log(self, uid: str, container: str, previous: bool) -> ContainerLog | None:
        """The log of a container of the pod with that uid, if it ever ran."""
        ...

    def reaches(self, node: str) -> bool:
        """Whether the API server can connect to the node."""
        ...


@dataclass(frozen=True)
class _Wanted:
    """Which lines are asked for."""

    since: float
    tail: int | None
    limit: int | None
    timestamps: bool
    follow: bool


def read_logs(verbs: Verbs, source: LogSource, call: ApiCall) -> ApiReply:
    """Answer `pods/NAME/log`."""
    pod = verbs.get(call)
    container = _container(pod, call)
    node = dig(pod, "spec", "nodeName")
    if not node:
        raise bad_request(f"pod {call.name} does not have a host assigned")
    if not source.reaches(node):
        url = f"https://{node}:10250/containerLogs/{call.namespace}/{call.name}/{container}"
        raise StatusError(500, "InternalError", f'Get "{url}": dial tcp: i/o timeout')
    previous = call.flag("previous")
    log = source.log(pod["metadata"]["uid"], container, previous)
    if log is None and previous:
        message = f'previous terminated container "{container}" in pod "{call.name}" not found'
        raise bad_request(message)
    if log is None:
        found = _status(pod, container)
        reason = dig(found, "state", "waiting", "reason", default="ContainerCreating")
        raise bad_request(
            f'container "{container}" in pod "{call.name}" is waiting to start: {reason}'
        )
    wanted = _asked(call, verbs.clock.seconds())
    return ApiReply(200, stream=_sent(log, wanted), content_type="text/plain")


def _container(pod: Obj, call: ApiCall) -> str:
    spec = pod["spec"]
    names = [each["name"] for each in spec["containers"]]
    inits = [each["name"] for each in spec.get("initContainers", ())]
    asked = call.query.get("container")
    if asked:
        if asked not in names + inits:
            raise bad_request(f"container {asked} is not valid for pod {call.name}")
        return asked
    if len(names) > 1:
        message = (
            f"a container name must be specified for pod {call.name}, choose one of: "
            f"[{' '.join(names)}]"
        )
        if inits:
            message += f" or one of the init containers: [{' '.join(inits)}]"
        raise bad_request(message)
    return str(names[0])


def _status(pod: Obj, container: str) -> Obj:
    status = pod.get("status", {})
    found = (*status.get("containerStatuses", ()), *status.get("initContainerStatuses", ()))
    return next((each for each in found if each["name"] == container), {})


def _asked(call: ApiCall, now: float) -> _Wanted:
    query = call.query
    since = from_stamp(query["sinceTime"]) if query.get("sinceTime") else 0.0
    if query.get("sinceSeconds"):
        since = now - int(query["sinceSeconds"])
    return _Wanted(
        since,
        int(query["tailLines"]) if query.get("tailLines") else None,
        int(query["limitBytes"]) if query.get("limitBytes") else None,
        call.flag("timestamps"),
        call.flag("follow"),
    )


def _sent(log: ContainerLog, wanted: _Wanted) -> Iterator[bytes]:
    left = wanted.limit
    for line in _lines(log, wanted):
        if left is not None:
            if left <= 0:
                return
            yield line[:left]
            left -= len(line)
        else:
            yield line


def _lines(log: ContainerLog, wanted: _Wanted) -> Iterator[bytes]:
    with log.changed:
        index = len(log.lines)
        first = [each for each in log.lines if each[0] >= wanted.since]
    if wanted.tail is not None:
        first = first[max(0, len(first) - wanted.tail) :]
    form = _stamped if wanted.timestamps else lambda _, line: line
    yield from (form(*each) for each in first)
    while wanted.follow:
        with log.changed:
            while len(log.lines) == index and not log.ended:
                log.changed.wait(60)
            more, ended = log.lines[index:], log.ended
            index += len(more)
        yield from (form(*each) for each in more)
        if ended and not more:
            return


def _stamped(when: float, line: bytes) -> bytes:
    from datetime import UTC, datetime

    whole = datetime.fromtimestamp(when, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S.%f}000Z ".encode() + line
