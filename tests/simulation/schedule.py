"""One schedule: what happens in a simulated world with a seed, and what is wrong with its end."""

import asyncio
import random
import traceback
from collections.abc import Sequence
from typing import NamedTuple

from controller.git.commit_info import Author
from controller.machine.core import Key
from controller.machine.pipelines.code import Code
from controller.machine.pipelines.data import DatasetListing
from controller.reconcile.loop import Loop
from specs.digests import digest
from specs.model import Pipeline
from tests.controller.machine.kit import FILES, source, spec
from tests.simulation.chaos import History, Life, Trouble
from tests.simulation.clock import EPOCH, SimulatedLoop, now
from tests.simulation.git import MAIN
from tests.simulation.verdict import Judge
from tests.simulation.world import PIPELINE, REPOSITORY, Controller, World

ADA = Author("Ada", "ada@example.com")
TROUBLED = 300.0
"""Seconds of simulated time in which things go wrong."""
SETTLES = 7200.0
"""Seconds after that within which everything must have come to its end."""
LOOK = 30.0
"""Seconds between two looks at whether it has."""
CALM = 4
"""How many of them in a row must find nothing left to do: for longer than any poll takes."""
EVERY = 30.0
"""Seconds between two events, on average."""

SPEC = spec(
    ("steps.train.timeout", "2m"),
    ("steps.train.retries", 1),
    ("steps.evaluate.timeout", "2m"),
)


class Outcome(NamedTuple):
    """How a schedule went."""

    seed: int
    wrongs: Sequence[str]
    history: History
    simulated: float
    """Seconds."""

    def told(self) -> str:
        """For whoever has to find the reason."""
        head = f"seed {self.seed}: {len(self.wrongs)} wrong\n" + "\n".join(self.wrongs)
        return f"{head}\nthe last events:\n" + "\n".join(self.history.last)


class Schedule:
    """Draws the events of one seed, and has them happen."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.history = History()
        self.trouble = Trouble.drawn(self.rng, TROUBLED)
        self.kills = self.rng.choice((0.0, 0.002, 0.01))
        """The chance that a controller is killed at a boundary of its loop."""
        self.world = World(self.rng, self.history, self.trouble)
        self.judge = Judge(self.world)
        self.lives: list[tuple[Life, asyncio.Task[None], Loop]] = []
        self.files: dict[str, str] = {}
        self.depth = 6

    async def run(self) -> float:
        """Live through it; the seconds of simulated time that it took."""
        self.world.servers.serves = self.judge.serves
        self.commit()
        self.begin()
        happenings = asyncio.create_task(self._happen())
        await asyncio.sleep(TROUBLED)
        await happenings
        self.history.say("all is well from now on")
        end, calm = now() + SETTLES, 0
        while now() < end and calm < CALM:
            await asyncio.sleep(LOOK)
            calm = 0 if self.judge.unsettled() else calm + 1
        self.judge.at_the_end()
        for life, task, _ in self.lives:
            life.dead = True
            task.cancel()
        return now() - EPOCH

    def begin(self) -> None:
        """A controller starts."""
        life = Life(len(self.lives) + 1, self.trouble, self.history)
        self.history.say("a controller starts", life.number)

        def boundary(step: str, key: Key) -> None:
            if self.trouble.active and not life.dead and self.rng.random() < self.kills:
                self.history.say("killed", step, key)
                self.kill()

        controller = Controller(self.world, life, boundary)
        task = asyncio.create_task(controller.run())
        task.add_done_callback(self._ended)
        self.lives.append((life, task, controller.loop))

    def kill(self) -> None:
        """The controller is killed, and another one starts after a while."""
        life, task, _ = self.lives[-1]
        if life.dead:
            return
        life.dead = True
        self.world.cluster.tell = None
        loop = asyncio.get_running_loop()
        loop.call_soon(task.cancel)
        loop.call_later(self.rng.expovariate(1 / 5), self.begin)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (failure := task.exception()) is not None:
            said = "".join(traceback.format_exception(failure))
            self.world.ledger.wrong(f"a controller ended by itself: {said}")

    async def _happen(self) -> None:
        events = (
            (self.commit, 6),
            (self.drop, 3),
            (self.kill, 2),
            (self.pause, 2),
            (self.world.servers.die, 2),
            (self.wake, 3),
        )
        while True:
            await asyncio.sleep(self.rng.expovariate(1 / EVERY))
            if not self.trouble.active:
                return
            each = self.rng.choices([e for e, _ in events], [w for _, w in events])[0]
            each()

    def commit(self) -> None:
        """Somebody pushes to the default branch; a webhook may be lost, or come twice."""
        remote, n = self.world.remote, len(self.world.remote.commits)
        what = self.rng.choice(("model", "model", "readme", "broken", "depth"))
        if what == "model":
            self.files["train__py"] = f"train {n}"
        elif what == "readme":
            self.files["README__md"] = f"read {n}"
        elif what == "depth":
            self.depth += 1
        contents = {path: path.encode() for path in FILES}
        contents |= {n.replace("__", "."): text.encode() for n, text in self.files.items()}
        contents["ml-pipeline.yaml"] = f"{what} {self.depth}".encode()
        sha = remote.commit(remote.heads.get(MAIN), dict(contents), f"Change {what} {n}\n", ADA)
        at = source("x", **self.files).model_copy(update={"commit": sha})
        if what == "broken":
            code = Code(source=at, name="mean", problems="line 3: no", problem_count=1)
        else:
            code = Code(source=at, name="mean", spec=self._spec())
        remote.codes[sha] = code
        remote.heads[MAIN] = sha
        self.judge.pushed[sha] = now()
        self.history.say("a commit", sha[:8], what)
        for _ in range(self.rng.choice((0, 1, 2))):
            self._later(REPOSITORY)

    def _spec(self) -> Pipeline:
        return SPEC.model_copy(update={"params": {**SPEC.params, "depth": self.depth}})

    def drop(self) -> None:
        """New data arrives."""
        name = f"numbers {len(self.history.every)}"
        self.world.bucket = DatasetListing(digest=digest(name))
        self.history.say("new data", name)
        for _ in range(self.rng.choice((0, 1, 2))):
            self._later(PIPELINE)

    def pause(self) -> None:
        """The controller's machine stands still for a while, up to some minutes."""
        life, _, _ = self.lives[-1]
        until = now() + self.rng.expovariate(1 / 60)
        life.paused_until = min(until, EPOCH + self.trouble.ends)
        self.history.say("paused until", f"{life.paused_until - EPOCH:.2f}")

    def wake(self) -> None:
        """A hint that means nothing, to anybody."""
        kinds = ("repository", "pipeline", "run", "environment")
        known = [key for key in self.world.memory.records if key.kind in kinds]
        if known:
            self._later(self.rng.choice(known))

    def _later(self, key: Key) -> None:
        asyncio.get_running_loop().call_later(self.rng.expovariate(1 / 3), self._hint, key)

    def _hint(self, key: Key) -> None:
        life, _, loop = self.lives[-1]
        if not life.dead:
            loop.wake(key)


def play(seed: int) -> Outcome:
    """Play one schedule on a clock of its own."""
    random.seed(seed)  # for what draws by itself
    schedule = Schedule(seed)
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        simulated = runner.run(schedule.run())
    wrongs = schedule.world.ledger.wrongs
    return Outcome(seed, wrongs, schedule.history, simulated)
