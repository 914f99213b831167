"""A place for attempts: a real repository, a bucket, a store of artifacts and an executor."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from controller.artifacts import Artifacts
from controller.buckets.catalog import Catalog
from controller.config.secrets import Secrets
from controller.executors.local import LocalExecutor
from controller.executors.virtualenvs import Virtualenvs
from controller.executors.workspace import Workspace
from controller.git import Mirror
from controller.git.repositories import Repositories
from controller.machine.runs.attempt import Attempt, Input
from deployers.confinement import Kind
from deployers.processes import Processes
from tests.contracts.executor import SECRET, lines
from tests.controller.git.git_server import Person
from tests.told import ToldConfinement

ROOT = Path(__file__).parents[3]
FOLDER = "models/mean"
KEPT_IN = """
import os
from pathlib import Path
from great_expectations.expectations.expectation import BatchExpectation


class ExpectToBeKeptIn(BatchExpectation):
    metric_dependencies = ("table.row_count",)

    def _validate(self, metrics, runtime_configuration=None, execution_engine=None):
        return {"success": not any(map(_works, (_forge, _look_around, _spy)))}


def _works(act):
    try:
        return act()
    except OSError:
        return False


def _forge():
    report = Path(os.environ["TMPDIR"]).parent / "outputs" / "report.json"
    report.write_text("PASS")
    return True


def _look_around():
    there = {path.name for path in Path(__file__).parent.iterdir()}
    return IS_CONFINED and there != {"custom.json", "custom.py"}


def _spy():
    return IS_CONFINED and bool(Path(f"/proc/{os.getppid()}/environ").read_bytes())


IS_CONFINED = os.getpid() < 100
"""
"""An expectation that it cannot do what it should not be able to."""
FILES = {
    f"{FOLDER}/said.txt": "committed\n",
    f"{FOLDER}/offline.txt": "--no-index\nno-such-package-of-ours\n",
    f"{FOLDER}/helpers/secret_sauce.py": "BETTER = 1\n",
    f"{FOLDER}/all.odcs.yaml": (
        "{apiVersion: v3.1.0, kind: DataContract, id: all, version: 1.0.0, status: active, "
        "schema: [{name: numbers, properties: [{name: x, required: true}]},"
        "{name: others, properties: [{name: y, required: true}]}]}\n"
    ),
    f"{FOLDER}/suite.json": json.dumps(
        {
            "name": "numbers",
            "expectations": [
                {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "x"}},
                {
                    "type": "expect_column_max_to_be_between",
                    "kwargs": {"column": "x", "max_value": 10},
                },
            ],
        }
    ),
    f"{FOLDER}/custom.json": json.dumps(
        {"name": "numbers", "expectations": [{"type": "expect_to_be_kept_in"}]}
    ),
    f"{FOLDER}/custom.py": KEPT_IN,
    "shared/note.txt": "beside\n",
}

CONTROLLER = """
import asyncio, sys
from pathlib import Path
from controller.machine.runs.attempt import Attempt, AttemptState
from tests.contracts.executor import becomes
from tests.controller.executors.site import LocalSite

async def main():
    root, team, commit, kind = sys.argv[1:]
    site = LocalSite(Path(root), Path(team), commit, kind)
    attempt = Attempt.model_validate_json(sys.stdin.read())
    async with site.open() as executor:
        await executor.start(attempt)
        await becomes(executor, attempt, AttemptState.RUNNING)
        print("running", flush=True)
        await asyncio.sleep(1000)

asyncio.run(main())
"""


def make_team(folder: Path) -> str:
    """A remote with one commit below `folder`, for many sites; the commit."""
    return Person(folder / "ada").push(FILES)


def environments() -> Iterator[str]:
    """The variables of every process that lives."""
    for each in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            yield each.read_bytes().decode(errors="replace")


class LocalSite:
    """See `tests.contracts.executor.Site`. `team` holds what many sites share."""

    def __init__(self, root: Path, team: Path, commit: str, kind: Kind = "none") -> None:
        self._root, self._team, self.commit, self._kind = root, team, commit, kind
        self.folder = root / "told"
        self._bucket = root / "bucket"
        for folder in (self.folder, self._bucket):
            folder.mkdir(exist_ok=True)
        self.artifacts = Artifacts(root / "artifacts")
        self.catalog = Catalog(root / "datasets")
        mirror = Mirror(str(team / "ada" / "remote.git"), team / "mirror.git")
        self.repositories = Repositories({"team": mirror}, team / "checkouts")
        self.secrets = Secrets({"KEY": SECRET})
        self.virtualenvs = Virtualenvs(team / "environments")
        self.confinement = ToldConfinement((root / "attempts",), kind=kind, told=self.folder)

    @property
    def workspace(self) -> Workspace:
        return Workspace(
            home=self._root / "attempts",
            artifacts=self.artifacts,
            datasets=self.catalog,
            checkouts=self.repositories,
            virtualenvs=self.virtualenvs,
            secrets=self.secrets,
        )

    @asynccontextmanager
    async def open(self, slots: int = 4) -> AsyncIterator[LocalExecutor]:
        with Processes(self._root / "attempts") as processes:
            executor = LocalExecutor(
                self.workspace,
                processes,
                slots=asyncio.Semaphore(slots),
                redact=self.secrets.redact,
                confinement=self.confinement,
            )
            try:
                yield executor
            finally:
                await executor.close()

    async def start_and_die(self, attempt: Attempt) -> None:
        controller = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CONTROLLER,
            str(self._root), str(self._team), self.commit, self._kind,
            cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert controller.stdin is not None
        assert controller.stdout is not None
        controller.stdin.write(attempt.model_dump_json().encode())
        controller.stdin.close()
        assert await controller.stdout.readline() == b"running\n"
        controller.kill()
        await controller.wait()

    def attempt(self, command: str, name: str = "train", **changes: Any) -> Attempt:
        return Attempt(
            id=f"mean-1.{name}.1",
            run="mean-1",
            node=name,
            command=command,
            repository="team",
            commit=self.commit,
            folder=FOLDER,
            files=("said.txt",),
            timeout=120,
        ).model_copy(update=changes)

    def data_gate(self, numbers: Input, name: str = "gate", **changes: Any) -> Attempt:
        """An attempt at judging a dataset by the commit's suite."""
        return self.attempt("", name, program="data_gate", inputs={"dataset": numbers}).model_copy(
            update={
                "outputs": {"report": "report.json"},
                "request": {"dataset": "numbers", "suite": "suite.json"},
                **changes,
            }
        )

    async def dataset(self, objects: Mapping[str, str]) -> Input:
        for key, text in objects.items():
            self.bucket(key).parent.mkdir(parents=True, exist_ok=True)
            self.bucket(key).write_text(text)
            os.utime(self.bucket(key), (1e9, 1e9))  # written a while ago
        return await self.given()

    async def given(self) -> Input:
        """A dataset version with what is in the bucket."""
        listing = await self.catalog.list(self._bucket.as_uri())
        digest, uri = listing.manifest.digest, self._bucket.as_uri()
        return Input(kind="dataset", digest=digest, name="numbers", uri=uri)

    async def artifact(self, name: str, content: str) -> Input:
        stored = await self.artifacts.put_bytes(content.encode())
        return Input(kind="artifact", digest=stored.digest, name=name)

    def bucket(self, key: str) -> Path:
        return self._bucket / key

    async def stored(self, digest: str) -> str:
        return (await self.artifacts.read_bytes(digest)).decode()

    def lives(self, pid_file: Path) -> bool:
        if self._kind != "none":  # inside it has another number
            return any(str(self._root / "attempts") in each for each in environments())
        try:
            (pid,) = lines(pid_file)
        except ValueError:
            return False
        try:
            return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False

    def tear_down(self) -> None:
        """End what a test left running."""
        with Processes(self._root / "attempts") as processes:
            for name in processes.names():
                processes.stop(name, grace=0.0)
