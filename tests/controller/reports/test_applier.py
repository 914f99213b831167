"""From the store and the artifacts to a git note; obsolete reports are ignored."""

from pathlib import Path

import pytest

from controller.artifacts import Artifacts
from controller.config.secrets import Secrets
from controller.git import Mirror
from controller.git.repositories import Repositories
from controller.machine.actions import ReportCommit
from controller.machine.core import Fact, Key
from controller.machine.runs.run import Progress, Run
from controller.reconcile.outbox import outbox_entry
from controller.reports.applier import ReportApplier
from controller.reports.notes_forge import NotesForge
from controller.store.protocol import Put, Store, Transaction
from specs.failures import Ignore, TryAgain
from tests.controller.git.git_server import Person, run_git
from tests.controller.reports.stories import cached, done, failed_step, graph, model_report, run
from validators.verdict import Verdict

OWNER = Key("run", "flight-delay-12")


@pytest.fixture
def ada(tmp_path: Path) -> Person:
    return Person(tmp_path / "ada")


@pytest.fixture
def commit(ada: Person) -> str:
    return ada.push({"a": "1"})


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


@pytest.fixture
def applier(ada: Person, store: Store, artifacts: Artifacts, tmp_path: Path) -> ReportApplier:
    mirrors = {"flights": Mirror(str(ada.remote), tmp_path / "mirror.git")}
    repositories = Repositories(mirrors, tmp_path / "checkouts")
    secrets = Secrets({"DB_PASSWORD": "hunter2*!"})
    return ReportApplier(store, artifacts, repositories, NotesForge(mirrors), secrets)


async def keep(store: Store, run: Run) -> None:
    """Save a run as the loop does, with its graph."""
    record = await store.get(Key("run", run.id))
    put = Put(
        key=Key("run", run.id),
        revision=record.revision if record else 0,
        text=run.model_dump_json(),
        live=run.live,
    )
    fact = Fact(key=Key("graph", run.id), body=graph(run.commit).plain())
    await store.commit(Transaction(put=put, facts=(fact,)), now=1.0)


def said(run: Run, state: str, title: str) -> ReportCommit:
    return ReportCommit.model_validate(
        {
            "repository": "flights",
            "commit": run.commit,
            "pipeline": "flight-delay",
            "state": state,
            "title": f"{run.id} {title}",
            "run": run.id,
        }
    )


def note(ada: Person, commit: str) -> str:
    return run_git(ada.remote, "log", "-1", "--notes=headgate", "--format=%N", commit)


async def test_a_stopped_run_is_read_beside_its_commit_with_its_gates_evidence(
    ada: Person, commit: str, store: Store, artifacts: Artifacts, applier: ReportApplier
) -> None:
    report = model_report(Verdict.FAIL)
    kept = await artifacts.put_bytes(report.model_dump_json().encode())
    stopped = run(
        commit,
        {
            "gate.data.flights": cached(
                "flight-delay-11", Verdict.PASS, report="sha256:" + "0" * 64
            ),
            "train": done(42, model="sha256:" + "1" * 64),
            "evaluate": done(3, predictions="sha256:" + "2" * 64),
            "gate.model": done(2, Verdict.FAIL, report=kept.digest),
        },
    )
    await keep(store, stopped)
    await applier.apply(OWNER, said(stopped, "stopped", "stopped by gate.model (FAIL)"))
    text = note(ada, commit)
    assert "❌ stopped: roc_auc 0.512, limit >= 0.6" in text
    assert "roc_auc is 0.512, the limit is 0.6." in text
    assert "The report of `gate.data.flights` is lost; its verdict was PASS." in text
    before = run_git(ada.remote, "rev-parse", "refs/notes/headgate")
    await applier.apply(OWNER, said(stopped, "stopped", "stopped by gate.model (FAIL)"))
    assert run_git(ada.remote, "rev-parse", "refs/notes/headgate") == before


async def test_a_progress_report_after_the_end_is_ignored(
    ada: Person, commit: str, store: Store, applier: ReportApplier
) -> None:
    going = run(commit, {"train": Progress(key="k")}, finished=None)
    await keep(store, going)
    await applier.apply(OWNER, said(going, "running", "runs"))
    assert "flight-delay-12 runs" in note(ada, commit)
    over = run(commit, {"train": done(1, model="m")})
    await keep(store, over)
    await applier.apply(OWNER, said(over, "passed", "passed"))
    with pytest.raises(Ignore, match="has ended"):
        await applier.apply(OWNER, said(going, "running", "runs"))
    assert "flight-delay-12 passed" in note(ada, commit)


async def test_a_release_that_is_held_is_reported_after_the_result_of_its_run(
    ada: Person, commit: str, store: Store, applier: ReportApplier
) -> None:
    over = run(commit, {"train": done(1, model="m")})
    await keep(store, over)
    passed = said(over, "passed", "passed")
    held = said(over, "held", "passed, but is not released")
    environment = Key("environment", "flight-delay/production")
    owed = outbox_entry(OWNER, passed)
    await store.commit(Transaction(enqueue=(owed,)), now=2.0)
    with pytest.raises(TryAgain, match="the result of flight-delay-12 is reported first"):
        await applier.apply(environment, held)
    await applier.apply(OWNER, passed)
    await store.commit(Transaction(acknowledge=(owed.id,)), now=3.0)
    await applier.apply(environment, held)
    assert "flight-delay-12 passed, but is not released" in note(ada, commit)


async def test_a_late_report_of_an_earlier_run_does_not_cover_a_retry(
    ada: Person, commit: str, store: Store, applier: ReportApplier
) -> None:
    first, second = run(commit, {"train": failed_step("no")}), run(commit, {}, number=13)
    await keep(store, first)
    await keep(store, second)
    await applier.apply(Key("run", second.id), said(second, "passed", "passed"))
    with pytest.raises(Ignore, match="flight-delay-13 is a later run"):
        await applier.apply(OWNER, said(first, "failed", "failed"))
    skipped = said(first, "skipped", "").model_copy(update={"run": None, "title": "nothing to run"})
    with pytest.raises(Ignore):
        await applier.apply(Key("pipeline", "flight-delay"), skipped)
    assert "flight-delay-13 passed" in note(ada, commit)


async def test_runs_of_other_commits_and_pipelines_of_like_names_overtake_nothing(
    ada: Person, commit: str, store: Store, applier: ReportApplier
) -> None:
    ours = run(commit, {}, number=12)
    await keep(store, ours)
    await keep(store, run("f" * 40, {}, number=13))
    await keep(
        store, run(commit, {}, number=14, id="flight-delay-eu-14", pipeline="flight-delay-eu")
    )
    await applier.apply(OWNER, said(ours, "passed", "passed"))
    assert "flight-delay-12 passed" in note(ada, commit)


async def test_a_repository_without_a_spec_gets_its_terminal_status(
    ada: Person, commit: str, applier: ReportApplier
) -> None:
    action = ReportCommit(
        repository="flights",
        commit=commit,
        pipeline="",
        state="skipped",
        title="there is no ml-pipeline.yaml here; `headgate init` writes one",
    )
    await applier.apply(Key("repository", "flights"), action)
    assert "there is no ml-pipeline.yaml here; `headgate init` writes one" in note(ada, commit)


async def test_a_secret_is_in_no_part_of_a_report(
    ada: Person, commit: str, store: Store, applier: ReportApplier
) -> None:
    leaky = run(commit, {"train": failed_step("cannot log in with hunter2*!")}, branch="hunter2*!")
    await keep(store, leaky)
    await applier.apply(OWNER, said(leaky, "failed", "failed: train: with hunter2*!"))
    text = note(ada, commit)
    assert "hunter2" not in text
    assert "cannot log in with ***" in text
