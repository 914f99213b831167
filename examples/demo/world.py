"""The world of the story: a git remote, a bucket, a controller, live traffic, and on-call.

Actions are those of people (git, files, the `headgate` command), and results are observed from
outside: the environments branch, git notes, HTTP answers, the webhook, the store.
"""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from controller.cli.context import controller_pid
from controller.git.environment_file import parse
from controller.git.environments import BRANCH
from controller.machine.core import Key, Value, parsed
from controller.machine.environments.environment import EnvironmentState
from controller.machine.environments.file import EnvironmentFile, path_of
from controller.machine.runs.run import Progress, Run
from controller.store.sqlite import SqliteStore
from deployers import control
from deployers.control import RouterStatus
from deployers.engine import Engine
from deployers.kubernetes.router_link import ClusterPlace, RouterLink
from deployers.local import LocalDeployer
from deployers.place_folder import Site
from deployers.processes import Processes
from examples.demo.data import Data
from examples.demo.delivery import Delivery
from examples.demo.engine import StoryEngine
from examples.demo.oncall import OnCall
from tests.first_screen import first_screen

EXAMPLE = Path(__file__).parents[1] / "flight-delay"
NOT_COMMITTED = ("variants", "load.py", "bucket.py", "data-requirements.*", "__pycache__", "bucket")
"""Files for the rest of the world, which are not in the team's repository."""
PIPELINE = "flight-delay"
PRODUCTION = f"{PIPELINE}/production"
HEADGATE = str(Path(sys.executable).with_name("headgate"))
PATIENCE = 300.0
"""Seconds to wait for something to happen."""

ENVIRON = {k: v for k, v in os.environ.items() if not k.startswith(("HEADGATE_", "GIT_"))}
"""The environment without variables for another Headgate or repository."""

T = TypeVar("T")
V = TypeVar("V", bound=Value)


class Unexpected(Exception):  # noqa: N818 - the name says what it is in the story
    """Something in the story did not go as expected."""

    def __init__(self, expected: str, seen: str) -> None:
        super().__init__(f"expected {expected}; saw {seen}")
        self.expected = expected
        self.seen = seen


def expect(condition: object, expected: str, seen: object) -> None:
    """Raise `Unexpected` unless the condition holds."""
    if not condition:
        raise Unexpected(expected, str(seen))


class Traffic(NamedTuple):
    """The answers that callers of production have had so far."""

    statuses: Counter[int]
    """Status 0: there was no answer."""
    models: Counter[str]

    @property
    def total(self) -> int:
        return self.statuses.total()


class World:
    """Everything in the story; all files are below one folder."""

    def __init__(
        self,
        folder: Path,
        data: Data,
        oncall: OnCall,
        delivery: Delivery,
        engine: StoryEngine | None = None,
    ) -> None:
        self.folder = folder
        self.data = data
        self.oncall = oncall
        self.delivery = delivery
        self.engine = engine or StoryEngine()
        self.remote = folder / "remote.git"
        self.repository = folder / "repository"
        self.pipeline = self.repository / PIPELINE
        self.home = folder / "headgate"
        self.log = folder / "controller.log"
        self.patience = PATIENCE
        self.controller: subprocess.Popen[bytes] | None = None
        self.callers: subprocess.Popen[bytes] | None = None
        self.store: SqliteStore | None = None
        self.epoch = ""
        """The router of production when the callers started."""
        self._traffic = _Reader(folder / "answers.jsonl")

    def begin(self) -> None:
        """Create an empty remote, a clone with the example, a bucket, and settings."""
        self.home.mkdir(parents=True)
        self.delivery.begin()
        (self.home / "environments").symlink_to(self.data.environments)
        git(self.folder, "init", "-q", "--bare", "-b", "main", str(self.remote))
        git(self.folder, "clone", "-q", str(self.remote), str(self.repository))
        git(self.repository, "checkout", "-q", "-B", "main")
        shutil.copytree(EXAMPLE, self.pipeline, ignore=shutil.ignore_patterns(*NOT_COMMITTED))
        self.edit("ml-pipeline.yaml", "file://./bucket/flights", self.delivery.uri)
        for old, new in self.engine.changes.items():
            self.edit("ml-pipeline.yaml", old, new)
        (self.folder / "headgate.yaml").write_text(
            "home: headgate\n"
            "repositories:\n"
            "  - {name: team, url: remote.git, poll: 500ms}\n"
            "bucket_poll: 2s\n"
            f"{self.delivery.settings}"
            f"{self.engine.settings}"
            "notify:\n"
            f"  - to: {self.oncall.address}\n"
            "    on: [rollback, gate_failed, run_failed, stuck, refused]\n"
        )

    # -- what people do ----------------------------------------------------------------------

    def headgate(self, *arguments: str, folder: Path | None = None) -> str:
        """Run a `headgate` command and return its output."""
        done = _run([HEADGATE, *arguments], folder or self.folder)
        command = " ".join(("headgate", *arguments))
        said = (done.stderr or done.stdout).strip()
        expect(done.returncode == 0, f"`{command}` to succeed", f"exit {done.returncode}: {said}")
        return done.stdout

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text in a file of the pipeline."""
        path = self.pipeline / name
        text = path.read_text()
        expect(old in text, f"{old!r} in {name}", "a file without it")
        path.write_text(text.replace(old, new))

    def push(self, subject: str) -> str:
        """Commit all changes, push, and return the commit."""
        git(self.repository, "add", "-A")
        git(self.repository, "commit", "-q", "-m", subject)
        git(self.repository, "push", "-q", "origin", "HEAD")
        return git(self.repository, "rev-parse", "HEAD")

    def revert_last_push(self) -> str:
        """`git revert` the newest commit and push."""
        git(self.repository, "revert", "--no-edit", "HEAD")
        git(self.repository, "push", "-q", "origin", "HEAD")
        return git(self.repository, "rev-parse", "HEAD")

    def revert_release(self) -> None:
        """`git revert` the newest commit of the environments branch, as a person does; push."""
        clone = self.folder / "environments"
        git(self.folder, "clone", "-q", "-b", BRANCH, str(self.remote), str(clone))
        git(clone, "revert", "--no-edit", "HEAD")
        git(clone, "push", "-q")

    async def start_controller(self) -> None:
        """Start `headgate up`, and wait until it is running."""
        self.controller = self._start([HEADGATE, "up"], self.log)
        await self.seen(lambda: controller_pid(self.home) is not None, "a running controller")
        if self.store is None:
            await self.seen((self.home / "state.db").exists, "the controller's state")
            self.store = await SqliteStore.open(self.home / "state.db")

    def kill_controller(self) -> None:
        """`kill -9`."""
        assert self.controller is not None
        self.controller.kill()
        self.controller.wait()

    async def start_traffic(self) -> None:
        """Start callers that send real flights to production."""
        address = await self.address()
        script, record = EXAMPLE / "load.py", self.folder / "answers.jsonl"
        flights = self.data.month(3)
        options = f"--url {address}/predict --rate {self.engine.rate} --seconds 86400".split()
        command: list[str | Path] = [self.data.python, script, *options]
        command += ["--data", flights, "--out", record]
        self.callers = self._start(command, self.folder / "callers.log")
        self.epoch = (await self.router()).epoch
        await self.seen(lambda: self.traffic().total > self.engine.rate, "answers from production")

    def _start(self, command: Sequence[str | Path], log: Path) -> subprocess.Popen[bytes]:
        """Start a background process that Ctrl-C does not reach; the demo handles that itself."""
        with log.open("ab") as out:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env={**ENVIRON, **self.delivery.environ},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    # -- what can be observed -------------------------------------------------------------------

    async def look(self, kind: str, name: str, model: type[V]) -> V | None:
        """An object of the controller's state."""
        assert self.store is not None
        record = await self.store.get(Key(kind, name))
        return parsed(model, record.body) if record else None

    async def run(self, number: int) -> Run | None:
        """The run of that number."""
        return await self.look("run", f"{PIPELINE}-{number}", Run)

    async def newest_run(self) -> int:
        """The number of the newest run."""
        assert self.store is not None
        return len(await self.store.list("run"))

    async def environment(self, name: str = "production") -> EnvironmentState:
        """The state of an environment."""
        return await self.look(
            "environment", f"{PIPELINE}/{name}", EnvironmentState
        ) or EnvironmentState(pipeline=PIPELINE, name=name, repository="team")

    async def ended(self, number: int) -> Run:
        """Wait for the end of a run."""

        async def look() -> Run | None:
            run = await self.run(number)
            return run if run and run.finished is not None else None

        return await self.until(look, f"run {PIPELINE}-{number} to end")

    async def serves(self, version: int) -> EnvironmentState:
        """Wait until production runs that version, and the branch says so, without a rollout."""

        async def look() -> EnvironmentState | None:
            env = await self.environment()
            still = env.rollout is None and env.write is None
            return env if still and env.stable and env.stable.version == version else None

        return await self.until(look, f"v{version} in production")

    async def canary(self) -> EnvironmentState:
        """Wait until a candidate has a share of the live traffic."""

        async def look() -> EnvironmentState | None:
            env = await self.environment()
            return env if env.rollout and env.rollout.step >= 0 else None

        return await self.until(look, "a canary in production")

    async def until_phase(self, number: int, node: str, wanted: str) -> None:
        """Wait until a node of a run is in that phase."""

        async def look() -> bool:
            run = await self.run(number)
            return bool(run and node in run.nodes and run.nodes[node].phase == wanted)

        await self.until(look, f"{node} of run {number} to be {wanted}")

    async def until_canary_requests(self, least: int) -> None:
        """Wait until the canary has answered that many requests at its current weight."""

        async def look() -> bool:
            rollout = (await self.environment()).rollout
            judgement = rollout.judgement if rollout else None
            return judgement is not None and judgement.canary.requests >= least

        await self.until(look, f"{least} requests to the canary")

    async def until_routed(self, server: str) -> RouterStatus:
        """Wait until the router sends all traffic to that server."""

        async def look() -> RouterStatus | None:
            status = await self.router()
            stable, canary = status.routing.stable, status.routing.canary
            return status if stable and stable.name == server and canary is None else None

        return await self.until(look, f"all traffic at {server}")

    def file(self, environment: str = "production") -> EnvironmentFile:
        """The file of an environment on the environments branch."""
        path = path_of(environment, PIPELINE)
        found = git_or_none(self.remote, "show", f"{BRANCH}:{path}")
        if found is None:
            raise Unexpected(f"{path} on {BRANCH}", "no such file")
        return parse(found, path)

    def releases(self, environment: str = "production") -> list[str]:
        """Commits that changed the environment's file, newest first, as `git log` shows them."""
        path = path_of(environment, PIPELINE)
        found = git_or_none(self.remote, "log", "--format=%h %s", BRANCH, "--", path)
        return found.splitlines() if found else []

    def note(self, commit: str) -> str:
        """The report on a commit."""
        return git_or_none(self.remote, "notes", "--ref=headgate", "show", commit) or ""

    async def noted(self, commit: str, *words: str) -> str:
        """Wait for a report on the commit that has all the words."""

        def look() -> str | None:
            note = self.note(commit)
            return note if all(word in note for word in words) else None

        what = " and ".join(repr(word) for word in words)
        return await self.seen(look, f"{what} in the report on {commit[:10]}")

    async def address(self) -> str:
        """The address of production. Raises OSError if there is none."""
        if self.engine.remote:
            return self._place().address or ""
        status = await self.router()
        return f"http://127.0.0.1:{status.routing.port}"

    async def router(self) -> RouterStatus:
        """The status of production's router, with its counts since it started. Raises OSError."""
        if not self.engine.remote:
            folder = Site.of(self.home / "serving" / "places", PRODUCTION).folder
            return RouterStatus.model_validate(await control.ask(folder, "status"))
        link = RouterLink()
        try:
            return RouterStatus.model_validate(await link.ask(self._place(), "status"))
        finally:
            await link.close()

    def _place(self) -> ClusterPlace:
        found = ClusterPlace.load(self.home / "serving", PRODUCTION)
        if found is None:
            raise FileNotFoundError("production is not on the cluster")
        return found

    def traffic(self) -> Traffic:
        """The answers that callers have had."""
        return self._traffic.read()

    async def seen(self, look: Callable[[], T | None], what: str) -> T:
        """Wait until `look` sees something. Raises `Unexpected`, with why, after `patience`."""

        async def again() -> T | None:
            return look()

        return await self.until(again, what)

    async def until(self, look: Callable[[], Awaitable[T | None]], what: str) -> T:
        """Like `seen`, for asynchronous observations."""
        deadline = time.monotonic() + self.patience
        while True:
            found = await look()
            if found:
                return found
            if self.controller is not None and self.controller.poll() not in (None, -9):
                status = self.controller.returncode
                raise Unexpected(what, await self._with_why(f"the controller exit with {status}"))
            if time.monotonic() > deadline:
                raise Unexpected(what, await self._with_why(f"nothing within {self.patience:g} s"))
            await asyncio.sleep(0.1)

    async def _with_why(self, seen: str) -> str:
        why = await first_screen(self.home / "state.db", self.log)
        return f"{seen}.\n\n{why}"

    # -- the end -----------------------------------------------------------------------------

    async def tear_down(self) -> None:
        """End everything that was started, including the model servers and the router."""
        for process in (self.callers, self.controller):
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        if self.store is not None:
            await self.store.close()
            self.store = None
        await end_all(self.home, self.engine.docker)
        self.delivery.end()


async def end_all(home: Path, docker: str | None = None) -> None:
    """End all processes of a controller's home folder, the controller first, and its containers on
    the Docker Engine at `docker`."""
    if (pid := controller_pid(home)) is not None:
        os.kill(pid, signal.SIGTERM)
        while controller_pid(home) is not None:  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.05)
    if (home / "serving").exists():
        deployer = LocalDeployer(home / "serving", redact=str)
        for environment in ("staging", "production"):
            await deployer.remove(f"{PIPELINE}/{environment}")
        await deployer.close()
    if (home / "attempts").exists():
        with Processes(home / "attempts") as attempts:
            for name in attempts.names():
                attempts.stop(name, grace=0.5)
    engine = Engine(docker, home)
    if engine.used and docker is not None:
        for each in (*await engine.containers("step"), *await engine.containers("server")):
            await engine.remove(each.id)
    await engine.close()


class _Reader:
    """Reads the callers' record as it grows, each line once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._seen = Traffic(Counter(), Counter())

    def read(self) -> Traffic:
        if self._path.exists():
            with self._path.open("rb") as lines:
                lines.seek(self._offset)
                for line in lines:
                    if not line.endswith(b"\n"):
                        break
                    answer = json.loads(line)
                    self._seen.statuses[answer["status"]] += 1
                    if answer["model"]:
                        self._seen.models[answer["model"]] += 1
                    self._offset += len(line)
        return Traffic(Counter(self._seen.statuses), Counter(self._seen.models))


def attempts_of(run: Run) -> dict[str, int]:
    """The number of attempts of each node of a run."""
    return {name: len(node.attempts) for name, node in run.nodes.items()}


def phase(run: Run, node: str) -> str:
    """The phase of a node of a run."""
    return run.nodes.get(node, Progress()).phase


def git(folder: Path, *arguments: str) -> str:
    """Run a git command as a named person. Raises `Unexpected` with git's error."""
    person = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    quiet = ("-c", "commit.gpgsign=false", "-c", "advice.detachedHead=false")
    done = _run(["git", *person, *quiet, *arguments], folder)
    command = " ".join(("git", *arguments))
    expect(done.returncode == 0, f"`{command}` to succeed", done.stderr.strip())
    return done.stdout.strip()


def git_or_none(folder: Path, *arguments: str) -> str | None:
    """The output of a git command, or None if it fails."""
    done = _run(["git", *arguments], folder)
    return done.stdout if done.returncode == 0 else None


def _run(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, check=False, cwd=folder, env=ENVIRON, capture_output=True, text=True
    )
