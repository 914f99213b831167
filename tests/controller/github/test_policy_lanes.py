"""The order of a pull request's two checks while GitHub rejects some reports."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.artifacts import Artifacts
from controller.config.secrets import Secrets
from controller.git import Mirror
from controller.git.repositories import Repositories
from controller.github.client import Client
from controller.github.forge import GitHubForge
from controller.github.pulls import Pulls
from controller.github.responses import GitHubRefused
from controller.machine.actions import AnswerCommand, ReportCommit, ReportPolicy
from controller.machine.core import Envelope, Key, parsed
from controller.machine.repositories.repository import RepositoryState as State
from controller.observers.repository import RepositoryObserver
from controller.reconcile.loop import Loop
from controller.reconcile.outbox import RuntimePolicy
from controller.reconcile.workqueue import Backoff
from controller.reports.applier import ReportApplier
from controller.reports.forge import CommitReport
from controller.reports.policy_applier import PolicyApplier
from controller.store.sqlite import SqliteStore
from controller.wiring.reconcilers import repositories as repositories_of
from specs.failures import Failure, TryAgain
from tests.controller.github.reporting import NAMES
from tests.controller.reconcile.toys import running, until
from tests.doubles.github import GitHub, Issue, Repository

KEY = Key("repository", "flights")
GATE, POLICY = "headgate / flight-delay", "headgate policy / flight-delay"
SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: flight-delay}
steps:
  train:
    run: python train.py {outputs.model}
    outputs: {model: model.json}
    reads: [train.py]
  evaluate:
    run: python train.py {outputs.predictions}
    outputs: {predictions: predictions.csv}
    reads: [train.py]
model: steps.train.model
gates:
  model:
    predictions: steps.evaluate.predictions
    columns: {key: id, label: label, score: score}
    checks: [{metric: roc_auc, at_least: 0.6}]
"""
LOOSER = {"ml-pipeline.yaml": SPEC.replace("0.6", "0.1")}


class Forge:
    """GitHub, which rejects policy reports as long as there is a `fault`."""

    def __init__(self, real: GitHubForge) -> None:
        self._real = real
        self.fault: Failure | None = None
        self.faults = 0

    async def report(self, report: CommitReport) -> None:
        """See `Forge.report`."""
        if report.kind == "policy" and self.fault is not None:
            self.faults += 1
            raise self.fault
        await self._real.report(report)


@dataclass
class Desk:
    """A repository on GitHub, and the loop that looks at it."""

    github: GitHub
    repository: Repository
    store: SqliteStore
    forge: Forge
    loop: Loop

    async def state(self) -> State | None:
        record = await self.store.get(KEY)
        return parsed(State, record.body) if record else None

    async def looked_at(self, pull: Issue, *, base: str = "main", by: str = "") -> None:
        """Wait until its head is known with that base, and as accepted by that person."""
        self.loop.wake(KEY)

        async def look() -> bool:
            state = await self.state()
            one = state.pulls.get(pull.number) if state else None
            accepted = [each.by for each in state.accepted] if state else []
            head = self.repository.git.heads()[pull.pull.head_ref] if pull.pull else ""
            found = one is not None and (one.head, one.base) == (head, base)
            return found and accepted == ([by] if by else [])

        await until(look)

    async def nothing_owed(self) -> None:
        self.loop.wake(KEY)

        async def look() -> bool:
            return not await self.store.outbox()

        await until(look)

    def concluded(self, sha: str, name: str) -> list[str | None]:
        checks = self.github.check_runs(self.repository, sha)
        return [check.conclusion for check in checks if check.name == name]


@pytest.fixture
async def desk(
    github: GitHub, repository: Repository, client: Client, store: SqliteStore, tmp_path: Path
) -> AsyncIterator[Desk]:
    """Maya administers the repository."""
    github.grant(repository, "maya", "admin")
    github.push(repository, {"ml-pipeline.yaml": SPEC, "train.py": "pass\n"})
    mirrors = {"flights": Mirror(str(repository.git.path), tmp_path / "mirror.git")}
    repositories = Repositories(mirrors, tmp_path / "checkouts")
    forge, secrets = Forge(GitHubForge(client, NAMES)), Secrets({})
    reports = ReportApplier(store, Artifacts(tmp_path / "artifacts"), repositories, forge, secrets)

    async def answer(_owner: Key, _action: AnswerCommand) -> tuple[Envelope, ...]:
        return ()

    observer = RepositoryObserver(repositories, {}, store, Pulls(client, NAMES))
    loop = Loop(
        store,
        {"repository": repositories_of(observer)},
        {
            ReportCommit: reports.apply,
            ReportPolicy: PolicyApplier(repositories, forge, secrets).apply,
            AnswerCommand: answer,
        },
        policy=RuntimePolicy(backoff=Backoff(first=0.01, most=0.05)),
        listen=0.01,
    )
    async with running(loop):
        yield Desk(github, repository, store, forge, loop)


async def test_an_acceptance_that_ended_before_it_was_shown_is_not_shown_later(desk: Desk) -> None:
    github, repository = desk.github, desk.repository
    desk.forge.fault = TryAgain("GitHub is away")
    main = repository.git.heads()["main"]
    github.push(repository, {"README.md": "Easy.\n"}, "easy", parent=main)
    sha = github.push(repository, LOOSER, "looser", parent=main)
    pull = github.open_pull_request(repository, "looser")
    await desk.looked_at(pull)
    github.comment(repository, pull, f"/headgate accept {sha}", "maya")
    await desk.looked_at(pull, by="maya")
    github.retarget(repository, pull, "easy")
    await desk.looked_at(pull, base="easy")
    github.retarget(repository, pull, "main")
    await desk.looked_at(pull)
    desk.forge.fault = None
    await desk.nothing_owed()
    assert desk.concluded(sha, POLICY) == ["failure"]
    assert desk.concluded(sha, f"{POLICY} (into easy)") == ["failure"]


@pytest.mark.parametrize(
    "fault",
    [TryAgain("GitHub is away"), GitHubRefused("Resource not accessible by integration", 403)],
    ids=["away", "refused"],
)
async def test_a_policy_report_that_github_rejects_does_not_delay_other_checks(
    desk: Desk, fault: Failure
) -> None:
    github, repository = desk.github, desk.repository
    desk.forge.fault = fault
    fork = github.fork(repository, "stranger")
    first = github.push(fork, LOOSER, "idea", "stranger")
    github.open_pull_request(repository, "idea", author="stranger", fork=fork)
    desk.loop.wake(KEY)
    await until(lambda: desk.concluded(first, GATE) == ["action_required"])
    await until(lambda: desk.forge.faults)
    second = github.push(fork, {"train.py": "import this\n"}, "idea", "stranger")
    desk.loop.wake(KEY)
    await until(lambda: desk.concluded(second, GATE) == ["action_required"])
    assert desk.concluded(first, POLICY) == []
