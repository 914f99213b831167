"""A whole world for a story: a git remote, a bucket, live traffic, and a real controller."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx

from controller.config.secrets import Secrets
from controller.config.settings import Settings
from controller.git.environment_file import parse
from controller.git.environments import BRANCH
from controller.machine.core import Envelope, Key, Message, parsed
from controller.machine.environments.environment import EnvironmentState
from controller.machine.environments.file import EnvironmentFile, path_of
from controller.machine.pipelines.pipeline import PipelineState
from controller.machine.runs.run import Run
from controller.reconcile.outbox import RuntimePolicy
from controller.store.addresses import Address, address_of
from controller.store.database import DatabaseStore
from controller.store.opening import open_store
from controller.store.protocol import Transaction
from controller.wiring.service import serve
from deployers.windows import make_window
from tests.first_screen import first_screen
from tests.logs import LOG

PIPELINE = Path(__file__).parent / "pipeline"
PATIENCE = 60.0
"""Seconds after which a story that should go on has failed."""

T = TypeVar("T")


class World:
    """Everything below one folder. What a person does is a method; what happens is asked for."""

    def __init__(self, root: Path, store: DatabaseStore) -> None:
        self.root = root
        self.remote = root / "remote.git"
        self.work = root / "work"
        self.bucket = root / "bucket"
        self.store = store
        self.settings = Settings.model_validate(
            {
                "home": "home",
                "repositories": [{"name": "team", "url": "remote.git", "poll": "200ms"}],
                "bucket_poll": "2s",
                "data_roots": [str(root / "bucket")],
                "slots": 2,
            }
        )
        self.secrets = Secrets({})
        self.patience = PATIENCE
        self._messages = 0
        self._controller: asyncio.Task[None] | None = None

    @classmethod
    async def make(cls, root: Path, pipeline: Path = PIPELINE) -> "World":
        """A remote with the pipeline on its main branch, and a bucket with one object."""
        for folder in ("bucket", "home"):
            (root / folder).mkdir()
        shutil.copytree(pipeline, root / "work")
        world = cls(root, await open_store(root / "home" / "state.db"))
        run_git(root, "init", "-q", "--bare", "-b", "main", str(world.remote))
        run_git(world.work, "init", "-q", "-b", "main")
        run_git(world.work, "remote", "add", "origin", str(world.remote))
        spec = world.work / "ml-pipeline.yaml"
        spec.write_text(spec.read_text().replace("BUCKET", str(world.bucket)))
        world.drop("a.csv", [1, 2, 3])
        return world

    @property
    def state(self) -> Address:
        """Where the state is."""
        return address_of(self.settings, self.root, self.secrets)

    # -- what people do ----------------------------------------------------------------------

    def configure(self, **changes: Any) -> None:
        """Change settings, before a controller is started with them."""
        now = self.settings.model_dump(mode="json", exclude_unset=True)
        self.settings = Settings.model_validate({**now, **changes})

    def push(self, subject: str, **changes: tuple[str, str]) -> str:
        """Commit the work tree, each file changed by replacing one text by another; push."""
        for name, (old, new) in changes.items():
            path = self.work / name.replace("__", ".").replace("_", "-")
            text = path.read_text()
            assert old in text, f"{old!r} is not in {path.name}"
            path.write_text(text.replace(old, new))
        run_git(self.work, "add", "-A")
        run_git(self.work, "commit", "-q", "--allow-empty", "-m", subject)
        run_git(self.work, "push", "-q", "origin", "HEAD")
        return run_git(self.work, "rev-parse", "HEAD")

    def drop(self, name: str, values: list[float]) -> None:
        """Put an object with a column of values into the bucket."""
        self.put(name, "value\n" + "\n".join(map(str, values)) + "\n")

    def put(self, name: str, content: str) -> None:
        """Put an object of any content into the bucket, written a while ago."""
        path = self.bucket / name
        scratch = self.bucket / f".{name}"
        scratch.write_text(content)
        before = path.stat().st_mtime if path.exists() else 1_700_000_000
        os.utime(scratch, (before + 1, before + 1))
        scratch.replace(path)

    def edit_environment(self, environment: str, change: Callable[[str], str]) -> None:
        """Edit the environment's file on its branch and push, as a person does."""
        clone = self.root / "operator"
        shutil.rmtree(clone, ignore_errors=True)
        run_git(self.root, "clone", "-q", "-b", BRANCH, str(self.remote), str(clone))
        path = clone / path_of(environment, "mean")
        path.write_text(change(path.read_text()))
        run_git(clone, "commit", "-q", "-am", "steer by hand")
        run_git(clone, "push", "-q")

    def revert_environment(self) -> None:
        """`git revert` the newest commit of the environments branch, and push."""
        clone = self.root / "operator"
        shutil.rmtree(clone, ignore_errors=True)
        run_git(self.root, "clone", "-q", "-b", BRANCH, str(self.remote), str(clone))
        run_git(clone, "revert", "--no-edit", "HEAD")
        run_git(clone, "push", "-q")

    def delete_environments(self) -> None:
        """Somebody deletes the environments branch on the remote."""
        run_git(self.work, "push", "-q", "origin", "--delete", BRANCH)

    def push_environments_over(self, commits: int) -> str:
        """Somebody pushes the environments branch back by so many commits; where it was."""
        was = run_git(self.remote, "rev-parse", BRANCH)
        run_git(self.work, "fetch", "-q", "origin", BRANCH)
        run_git(self.work, "push", "-qf", "origin", f"FETCH_HEAD~{commits}:refs/heads/{BRANCH}")
        return was

    async def lose_the_state(self) -> None:
        """The state file is gone; code, data and servers are there."""
        await self.store.close()
        for file in (self.root / "home").glob("state.db*"):
            file.unlink()
        self.store = await open_store(self.root / "home" / "state.db")

    async def keep_state_in(self, store: str, secrets: Secrets) -> None:
        """From now on the state is in another store, which is empty."""
        await self.store.close()
        for file in (self.root / "home").glob("state.db*"):
            file.unlink()
        self.configure(store=store)
        self.secrets = secrets
        self.store = await open_store(self.state)

    async def say(self, to: Key, message: Message) -> None:
        """Send a message, as the command line does."""
        self._messages += 1
        envelope = Envelope(to=to, id=f"test/{self._messages}", message=message)
        await self.store.commit(Transaction(send=(envelope,)), 0.0)

    # -- what there is to see ----------------------------------------------------------------

    async def pipeline(self) -> PipelineState | None:
        record = await self.store.get(Key("pipeline", "mean"))
        return parsed(PipelineState, record.body) if record else None

    async def run(self, number: int) -> Run | None:
        record = await self.store.get(Key("run", f"mean-{number}"))
        return parsed(Run, record.body) if record else None

    async def environment(self, name: str) -> EnvironmentState | None:
        record = await self.store.get(Key("environment", f"mean/{name}"))
        return parsed(EnvironmentState, record.body) if record else None

    def file(self, environment: str = "production") -> EnvironmentFile | None:
        """What the environments branch says."""
        path = path_of(environment, "mean")
        found = git_or_none(self.remote, "show", f"{BRANCH}:{path}")
        return parse(found, path) if found else None

    def releases(self, environment: str = "production") -> list[str]:
        """The subjects of the commits that changed the environment's file, newest first."""
        path = path_of(environment, "mean")
        found = git_or_none(self.remote, "log", "--format=%s", BRANCH, "--", path)
        return found.splitlines() if found else []

    def note(self, commit: str) -> str:
        """What is said on a commit."""
        return git_or_none(self.remote, "notes", "--ref=headgate", "show", commit) or ""

    async def ended(self, number: int) -> Run:
        """Wait for the end of a run."""
        __tracebackhide__ = True

        async def look() -> Run | None:
            run = await self.run(number)
            return run if run and run.finished is not None else None

        return await self.until(look, f"run {number} to end")

    async def serves(self, version: int, environment: str = "production") -> EnvironmentState:
        """Wait until that version is what the environment runs, with nothing in progress."""
        __tracebackhide__ = True

        async def look() -> EnvironmentState | None:
            env = await self.environment(environment)
            if env is None or env.stable is None or env.rollout or env.write:
                return None
            return env if env.stable.version == version else None

        return await self.until(look, f"v{version} in {environment}")

    async def until(self, look: Callable[[], Awaitable[T | None]], what: str) -> T:
        """Wait until `look` finds something. What waits in vain fails, and says why."""
        __tracebackhide__ = True
        with suppress(TimeoutError):
            async with asyncio.timeout(self.patience):
                while True:
                    found = await look()
                    if found:
                        return found
                    if self._controller is not None and self._controller.done():
                        self._controller.result()  # it says what ended it, now and not later
                    await asyncio.sleep(0.05)
        why = await first_screen(self.state, self.root / LOG)
        raise AssertionError(f"waited {self.patience:g} s in vain for {what}.\n\n{why}")

    # -- the controller ----------------------------------------------------------------------

    @asynccontextmanager
    async def controller(self, policy: RuntimePolicy | None = None) -> AsyncIterator[None]:
        """A controller runs."""
        task = asyncio.create_task(serve(self.settings, self.root, self.secrets, policy))
        self._controller = task
        try:
            yield
        finally:
            self._controller = None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if task.done() and not task.cancelled() and task.exception():
                raise task.exception()  # type: ignore[misc]  # checked in the condition

    async def address(self, environment: str = "production") -> str:
        """Where the environment answers."""
        __tracebackhide__ = True
        window = make_window(self.root / "home" / "serving")

        async def look() -> str | None:
            return (await window.glance(f"mean/{environment}")).address

        return await self.until(look, "an address")

    @asynccontextmanager
    async def traffic(self, rate: float = 100.0) -> AsyncIterator[list[int]]:
        """Requests to production, at `rate` a second, for as long as the block lasts (60 s at
        most); the list gathers their statuses."""
        statuses: list[int] = []
        address = await self.address()

        async def ask() -> None:
            async with httpx.AsyncClient(base_url=address, timeout=10) as client:
                for _ in range(int(rate * 60)):
                    answer = await client.post("/predict", json={"ask": 1})
                    statuses.append(answer.status_code)
                    await asyncio.sleep(1 / rate)

        task = asyncio.create_task(ask())
        try:
            yield statuses
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def stop_local_servers(self) -> None:
        """End the servers and routers of this machine, as when a pod ends that they ran in."""
        from deployers.local import LocalDeployer

        known = {record.key.name for record in await self.store.list("environment")}
        deployer = LocalDeployer(self.root / "home" / "serving", redact=str)
        for place in known | {"mean/staging", "mean/production"}:  # also where the state was lost
            await deployer.remove(place)
        await deployer.close()

    async def tear_down(self) -> None:
        """End what the controller left running on purpose."""
        from deployers.processes import Processes

        await self.stop_local_servers()
        with Processes(self.root / "home" / "attempts") as attempts:
            for name in attempts.names():
                attempts.stop(name, grace=0.1)
        await self.store.close()


def run_git(folder: Path, *arguments: str) -> str:
    """A git command of a person who has a name."""
    person = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    done = subprocess.run(
        ["git", *person, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def git_or_none(folder: Path, *arguments: str) -> str | None:
    """What git prints, or None if it refuses."""
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None
