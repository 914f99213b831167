"""Which pipelines the observer of repositories finds a push to concern, on real git."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.git import Mirror
from controller.git.repositories import Repositories
from controller.machine.core import Envelope, Key, parsed
from controller.machine.messages import CommitSeen, RunRequested
from controller.machine.pipelines.pipeline import Last, PipelineState
from controller.machine.repositories.repository import RepositoryState
from controller.observers.repository import RepositoryObserver
from controller.store.protocol import Put, Transaction
from controller.store.sqlite import SqliteStore
from controller.wiring.reconcilers import repositories as repositories_of
from tests.controller.git.git_server import Person, run_git

KEY = Key("repository", "team")
NAMES = ("max", "mean", "sum")


def spec(name: str) -> str:
    return (
        f"apiVersion: headgate.dev/v1\nkind: MLPipeline\nmetadata: {{name: {name}}}\n"
        "steps:\n  train: {run: 'python train.py {outputs.m}', outputs: {m: m}, "
        "reads: [train.py]}\n"
    )


@dataclass
class Watched:
    """A repository, pushed to by Ada, and what its object makes of each push."""

    ada: Person
    store: SqliteStore
    observer: RepositoryObserver
    state: RepositoryState | None = None

    def push(self, files: dict[str, str | None]) -> str:
        return self.ada.push(files)

    async def told(self) -> list[str]:
        """Who is told of the head. They run, and pass."""
        observed = await self.observer.observe(KEY, self.state, ())
        decision = repositories_of(self.observer).decide(KEY, self.state, observed, (), 0.0)
        self.state = parsed(RepositoryState, decision.state.plain())
        seen = [m.message for m in decision.messages if isinstance(m.message, CommitSeen)]
        for message in seen:
            await self.ran(message)
        return sorted(message.pipeline for message in seen)

    async def ran(self, seen: CommitSeen, outcome: str = "passed") -> None:
        """A pipeline as it is once its run of the commit has ended."""
        key = Key("pipeline", seen.pipeline)
        before = await self.store.get(key)
        last = Last(run=f"{key.name}-1", commit=seen.commit, fingerprint="f", outcome=outcome)
        state = PipelineState(
            name=seen.pipeline,
            repository="team",
            default_branch="main",
            heads={seen.branch: seen.commit},
            specs={seen.branch: seen.spec},
            last={seen.branch: last},
        )
        revision = before.revision if before else 0
        put = Put(key=key, revision=revision, text=state.model_dump_json(), live=True)
        await self.store.commit(Transaction(put=put), 0.0)


@pytest.fixture
async def watched(tmp_path: Path, store: SqliteStore) -> Watched:
    """Three pipelines that have run."""
    ada = Person(tmp_path / "ada")
    mirrors = {"team": Mirror(str(ada.remote), tmp_path / "mirror.git")}
    observer = RepositoryObserver(Repositories(mirrors, tmp_path / "checkouts"), {}, store)
    world = Watched(ada, store, observer)
    files: dict[str, str | None] = {"README.md": "Words.\n"}
    for name in NAMES:
        files |= {f"{name}/ml-pipeline.yaml": spec(name), f"{name}/train.py": "pass\n"}
    world.push(files)
    assert await world.told() == [*NAMES]
    return world


async def test_a_push_wakes_only_the_pipelines_that_read_what_it_changes(watched: Watched) -> None:
    watched.push({"README.md": "Better words.\n"})
    assert await watched.told() == []
    watched.push({"mean/train.py": "print(1)\n"})
    assert await watched.told() == ["mean"]
    watched.push({"max/ml-pipeline.yaml": spec("max").replace("python", "python3")})
    assert await watched.told() == ["max"]


async def test_a_new_pipeline_and_an_invalid_one_are_told(watched: Watched) -> None:
    watched.push({"new/ml-pipeline.yaml": spec("new"), "new/train.py": "pass\n"})
    assert await watched.told() == ["new"]
    watched.push({"mean/ml-pipeline.yaml": "kind: MLPipeline\n"})
    assert await watched.told() == ["mean"]
    watched.push({"README.md": "Its spec is invalid still.\n"})
    assert await watched.told() == ["mean"]


async def test_a_push_that_is_no_fast_forward_and_a_new_branch_wake_all(watched: Watched) -> None:
    first = watched.push({"README.md": "One.\n"})
    assert await watched.told() == []
    run_git(watched.ada.clone, "commit", "-q", "--amend", "-m", "Two")
    run_git(watched.ada.clone, "push", "-qf", "origin", "HEAD:main")
    assert watched.ada.head("main") != first
    assert await watched.told() == [*NAMES]
    run_git(watched.ada.clone, "push", "-q", "origin", "HEAD:trunk")
    run_git(watched.ada.remote, "symbolic-ref", "HEAD", "refs/heads/trunk")
    assert await watched.told() == [*NAMES]


async def test_a_pipeline_whose_name_comes_twice_or_moves_is_told(watched: Watched) -> None:
    watched.push({"other/ml-pipeline.yaml": spec("mean"), "other/train.py": "pass\n"})
    assert await watched.told() == ["mean"]
    watched.push({"README.md": "There are two still.\n"})
    assert await watched.told() == ["mean"]
    watched.push({"sum/ml-pipeline.yaml": None, "total/ml-pipeline.yaml": spec("sum")})
    assert await watched.told() == ["mean", "sum"]


async def test_a_pipeline_that_does_not_know_the_head_before_yet_is_told(watched: Watched) -> None:
    request = RunRequested(kind="manual", why="ada asked")
    sent = Envelope(to=Key("pipeline", "sum"), id="1", message=request)
    await watched.store.commit(Transaction(send=(sent,)), 0.0)
    watched.push({"README.md": "Better words.\n"})
    assert await watched.told() == ["sum"]


async def test_a_pipeline_whose_last_run_failed_is_told_of_any_push(watched: Watched) -> None:
    sha = watched.push({"mean/train.py": "raise SystemExit\n"})
    assert await watched.told() == ["mean"]
    seen = CommitSeen(
        pipeline="mean",
        repository="team",
        spec="mean/ml-pipeline.yaml",
        branch="main",
        commit=sha,
        default_branch="main",
    )
    await watched.ran(seen, "failed")
    watched.push({"README.md": "Try again.\n"})
    assert await watched.told() == ["mean"]
