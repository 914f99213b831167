"""Pods that are played: what happens to them is told by a script, and no process runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.doubles.kubernetes.base.objects import Obj

PodTest = Callable[[Obj], bool]


@dataclass(frozen=True)
class Play:
    """What happens to a pod, in the cluster's seconds."""

    starts_after: float = 0.0
    """From its being placed on a node until its containers run."""
    runs: float | None = 1.0
    """Until the containers end; None for never."""
    exit_code: int = 0
    reason: str = ""
    """Of the containers' end, as `OOMKilled`; with exit code 0 it was a child that was killed."""
    waiting: tuple[str, str] | None = None
    """Reason and message, if the containers never start, as for ImagePullBackOff."""
    ready_after: float | None = 0.0
    """From the start until it is ready; None for never."""
    message: str = ""
    """With which the containers end."""
    log: Sequence[str] = ()
    container: str = ""
    """The container that ends so; every one, if empty. An init container may be named."""


OOM_KILLED = Play(exit_code=137, reason="OOMKilled")
SERVES = Play(runs=None)


def image_pull_failure(image: str) -> Play:
    """A pod whose image cannot be had."""
    return Play(waiting=("ImagePullBackOff", f'Back-off pulling image "{image}"'))


class Plays:
    """Which pods are played, and how."""

    def __init__(self) -> None:
        self._rules: list[tuple[PodTest, Play]] = []

    def add(self, play: Play, test: PodTest | None = None) -> None:
        """From now on, this is what happens to new pods that fit; a later rule goes first."""
        self._rules.insert(0, (test or (lambda _: True), play))

    def of(self, pod: Obj) -> Play | None:
        """None if the pod runs as processes."""
        return next((play for test, play in self._rules if test(pod)), None)


def labelled(**labels: str) -> PodTest:
    """Pods with these labels."""
    return lambda pod: all(
        pod["metadata"].get("labels", {}).get(key) == value for key, value in labels.items()
    )
