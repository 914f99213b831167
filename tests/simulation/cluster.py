"""Where steps run, and what they make: attempts end as the seed has it, whoever looks."""

import asyncio
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from controller.artifacts import Artifacts
from controller.machine.runs.attempt import Attempt, AttemptState, Status
from specs.digests import digest
from specs.failures import NeedsHuman
from tests.controller.machine.kit import report
from tests.simulation.chaos import History, Life
from tests.simulation.clock import now
from validators.report import Report
from validators.verdict import Verdict

ENDS = (
    *(AttemptState.SUCCEEDED,) * 14,
    AttemptState.FAILED,
    AttemptState.LOST,
    AttemptState.OUT_OF_MEMORY,
    AttemptState.RUNNING,  # until its time is over
)
LONGEST = 150.0
"""Seconds that an attempt may take at most: of a gate's hour, that many are played."""
WRONG = 0.25
"""The share of dataset versions and of models that no gate may let through."""


@dataclass
class Job:
    """What runs of an attempt."""

    attempt: Attempt
    status: Status


@dataclass
class Cluster:
    """All attempts, and all that they have written."""

    rng: random.Random
    history: History
    jobs: dict[str, Job] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    model_of: dict[str, str] = field(default_factory=dict)
    """The model that predictions are of."""
    wrong: dict[str, bool] = field(default_factory=dict)
    tell: Callable[[str], None] | None = None
    doubled: list[str] = field(default_factory=list)
    """Attempts that were started although another of their node ran, or had succeeded."""

    def is_wrong(self, what: str) -> bool:
        """Whether a dataset version, or a model, is not good enough. It never changes."""
        if what not in self.wrong:
            self.wrong[what] = self.rng.random() < WRONG
        return self.wrong[what]

    def launch(self, attempt: Attempt) -> None:
        """Start it, unless it was."""
        if attempt.id in self.jobs:
            return
        for other in self.jobs.values():
            same = (other.attempt.run, other.attempt.node) == (attempt.run, attempt.node)
            going = not other.status.state.ended
            if same and (going or other.status.state is AttemptState.SUCCEEDED):
                self.doubled.append(f"{attempt.id} beside {other.attempt.id}")
        self.history.say("started", attempt.id)
        self.jobs[attempt.id] = Job(attempt, Status(state=AttemptState.RUNNING, started=now()))
        end, after = self.rng.choice(ENDS), self.rng.expovariate(1 / 8)
        if end is AttemptState.RUNNING:
            end, after = AttemptState.TIMED_OUT, min(attempt.timeout, LONGEST)
        asyncio.get_running_loop().call_later(after, self.end, attempt.id, end)

    def end(self, id_: str, state: AttemptState) -> None:
        """It ends, if it still runs."""
        job = self.jobs[id_]
        if job.status.state.ended:
            return
        self.history.say("ended", id_, state)
        update = {"state": state, "ended": now(), "message": f"it ended {state}", "exit_code": 0}
        job.status = job.status.model_copy(update=update)
        if self.tell is not None and self.rng.random() < 0.8:  # else the word is lost
            self.tell(id_)

    def write(self, attempt: Attempt) -> dict[str, str]:
        """The digests of its outputs: the same inputs make the same outputs."""
        read = sorted((name, each.digest) for name, each in attempt.inputs.items())
        given = [attempt.node, read, sorted(attempt.params.items())]
        if attempt.node == "train":
            given.append(attempt.commit)
        outputs = {name: digest([*given, name]) for name in attempt.outputs}
        if "model" in attempt.inputs:
            self.model_of |= dict.fromkeys(outputs.values(), attempt.inputs["model"].digest)
        if "report" in attempt.outputs:
            content = self._judged(attempt).model_dump_json().encode()
            outputs["report"] = digest(content.decode())
            self.contents[outputs["report"]] = content
        self.made |= {*outputs.values()}
        return outputs

    def _judged(self, attempt: Attempt) -> Report:
        if attempt.program == "data_gate":
            wrong, gate = self.is_wrong(attempt.inputs["dataset"].digest), "data"
        else:
            wrong, gate = self.is_wrong(self.model_of[attempt.inputs["candidate"].digest]), "model"
        return report(Verdict.FAIL if wrong else Verdict.PASS, gate)


class SimulatedExecutor:
    """An `Executor` of one life of a controller."""

    def __init__(self, cluster: Cluster, life: Life) -> None:
        self._cluster = cluster
        self._life = life

    async def start(self, attempt: Attempt) -> None:
        await self._life.enter("cluster")
        self._cluster.launch(attempt)
        await self._life.leave("cluster")

    async def poll(self, attempt_id: str) -> Status:
        await self._life.enter("cluster")
        job = self._cluster.jobs.get(attempt_id)
        return job.status if job else Status(state=AttemptState.UNKNOWN)

    async def cancel(self, attempt_id: str, grace: float = 10.0) -> None:
        await self._life.enter("cluster")
        if attempt_id in self._cluster.jobs:
            self._cluster.end(attempt_id, AttemptState.CANCELLED)
        await self._life.leave("cluster")

    async def logs(self, attempt_id: str) -> Path | None:
        return None

    async def collect(self, attempt: Attempt) -> Mapping[str, str]:
        await self._life.enter("cluster")
        return self._cluster.write(attempt)


class SimulatedArtifacts(Artifacts):
    """What attempts have written."""

    def __init__(self, cluster: Cluster, life: Life) -> None:
        self._cluster = cluster
        self._life = life

    async def read_bytes(self, digest: str) -> bytes:
        await self._life.enter("cluster")
        if digest not in self._cluster.contents:
            raise NeedsHuman(f"there is no artifact {digest}")
        return self._cluster.contents[digest]

    async def has(self, digest: str) -> bool:
        return digest in self._cluster.made

    async def lacking(self, digests: Collection[str]) -> set[str]:
        await self._life.enter("cluster")
        return {*digests} - self._cluster.made
