"""One commit in several pull requests: those that share a check show the worst result."""

from pathlib import Path
from typing import Any

import pytest

from controller.artifacts import Artifacts
from controller.config.secrets import Secrets
from controller.git import Mirror
from controller.git.repositories import Repositories
from controller.machine.actions import ReportCommit
from controller.machine.core import Fact, Key
from controller.machine.pipelines.pipeline import PipelineState
from controller.machine.pipelines.version import ModelVersion
from controller.machine.repositories.pull import Pull
from controller.machine.repositories.repository import RepositoryState
from controller.machine.runs.graph import SourceTree
from controller.machine.runs.run import Run
from controller.reports.applier import ReportApplier
from controller.store.protocol import Put, Store, Transaction
from specs.digests import digest
from specs.loading.load import load
from tests.controller.git.git_server import Person
from tests.controller.reports.recording_forge import RecordingForge
from tests.controller.reports.stories import FLIGHTS, SPEC, done, model_report, run
from tests.controller.reports.test_applier import keep, said
from tests.controller.reports.test_plan import FILES, LOOSENED
from validators.verdict import Verdict

OWNER = Key("run", "flight-delay-12")


class Desk:
    """A repository on a forge, with pull requests and what ran for them."""

    def __init__(self, tmp_path: Path, store: Store) -> None:
        self.store = store
        self.shown = RecordingForge()
        self.artifacts = Artifacts(tmp_path / "artifacts")
        self.ada = Person(tmp_path / "ada")
        self.base = self.ada.push(FILES)
        self.head = self.ada.push(LOOSENED, branch="mine")
        mirrors = {"flights": Mirror(str(self.ada.remote), tmp_path / "mirror.git")}
        repositories = Repositories(mirrors, tmp_path / "checkouts")
        self.applier = ReportApplier(store, self.artifacts, repositories, self.shown, Secrets({}))
        self.pulls: dict[int, Pull] = {}

    async def open(self, number: int, base: str = "main", *, fork: bool = False) -> None:
        """A pull request of the head."""
        self.pulls[number] = Pull(
            number=number, head=self.head, base=base, base_commit=self.base, fork=fork
        )
        known = RepositoryState(name="flights", default_branch="main", pulls=self.pulls)
        await self.put(Key("repository", "flights"), known.model_dump_json())

    async def put(self, key: Key, text: str) -> None:
        record = await self.store.get(key)
        put = Put(key=key, revision=record.revision if record else 0, text=text, live=True)
        await self.store.commit(Transaction(put=put), now=1.0)

    async def ran(self, number: int, pull: int | None, verdict: Verdict, **facts: object) -> Run:
        """A finished run of a pull request or of main."""
        report = model_report(verdict, baseline=0.752)
        kept = await self.artifacts.put_bytes(report.model_dump_json().encode())
        nodes = {
            "gate.data.flights": done(1, Verdict.PASS, report="sha256:" + "0" * 64),
            "train": done(42, model="m"),
            "evaluate": done(3, predictions="p"),
            "gate.model": done(2, verdict, report=kept.digest),
        }
        where = {"pull": pull, "branch": f"pull request {pull}"} if pull else {}
        known: dict[str, Any] = {"nodes": nodes, "baseline": 1, **where, **facts}
        one = run(self.head, number=number, **known)
        await keep(self.store, one)
        return one

    async def say(self, one: Run, **facts: object) -> None:
        action = said(one, one.outcome, one.outcome)
        about = {"pull": one.pull, "scope": one.scope, **facts}
        await self.applier.apply(OWNER, action.model_copy(update=about))


@pytest.fixture
def desk(tmp_path: Path, store: Store) -> Desk:
    return Desk(tmp_path, store)


async def test_one_head_into_two_bases_has_two_checks_and_each_says_its_own(desk: Desk) -> None:
    await desk.open(12)
    await desk.open(13, "easy")
    strict = await desk.ran(12, 12, Verdict.FAIL)
    loose = await desk.ran(13, 13, Verdict.PASS, scope="into easy")
    await desk.say(strict)
    await desk.say(loose)
    found = [(one.pull, one.scope, one.conclusion) for one in desk.shown.reports]
    assert found == [(12, "", "failure"), (13, "into easy", "success")]


async def test_of_two_pull_requests_with_one_head_and_base_the_worse_counts_for_both(
    desk: Desk,
) -> None:
    await desk.open(12)
    await desk.open(13)
    stopped = await desk.ran(12, 12, Verdict.FAIL)
    await desk.say(stopped)
    assert desk.shown.last.conclusion == "failure"
    passed = await desk.ran(13, 13, Verdict.PASS)
    await desk.say(passed)
    by_pull = {one.pull: one for one in desk.shown.reports}
    assert {number: one.conclusion for number, one in by_pull.items()} == {
        12: "failure",
        13: "failure",
    }
    assert by_pull[13].title.startswith("#12 with the same head was stopped; here: roc_auc")
    assert not by_pull[12].title.startswith("#13")


async def test_what_passed_first_is_said_again_once_its_twin_is_stopped_and_once_that_passes(
    desk: Desk,
) -> None:
    await desk.open(12)
    await desk.open(13)
    await desk.say(await desk.ran(12, 12, Verdict.PASS))
    await desk.say(await desk.ran(13, 13, Verdict.FAIL))
    assert [(one.pull, one.conclusion) for one in desk.shown.reports] == [
        (12, "success"),
        (13, "failure"),
        (12, "failure"),
    ]
    await desk.say(await desk.ran(14, 13, Verdict.PASS))
    assert [(one.pull, one.conclusion) for one in desk.shown.reports[-2:]] == [
        (13, "success"),
        (12, "success"),
    ]


async def test_no_success_is_shown_while_the_twin_still_runs_and_it_is_once_that_is_over(
    desk: Desk,
) -> None:
    await desk.open(12)
    await desk.open(13)
    going = await desk.ran(13, 13, Verdict.PASS, finished=None, nodes={})
    await desk.say(await desk.ran(12, 12, Verdict.PASS))
    assert desk.shown.last.conclusion is None
    assert desk.shown.last.title.startswith(
        "#13 with the same head is still running; here: roc_auc"
    )
    assert "so it stays open until both have ended" in desk.shown.last.text
    await desk.say(await desk.ran(going.number, 13, Verdict.PASS))
    assert [(one.pull, one.conclusion) for one in desk.shown.reports[-2:]] == [
        (13, "success"),
        (12, "success"),
    ]


async def test_what_fails_is_said_though_the_twin_still_runs(desk: Desk) -> None:
    await desk.open(12)
    await desk.open(13)
    await desk.ran(13, 13, Verdict.PASS, finished=None, nodes={})
    await desk.say(await desk.ran(12, 12, Verdict.FAIL))
    assert desk.shown.last.conclusion == "failure"
    assert desk.shown.last.title.startswith("stopped: ")


async def test_a_twin_that_is_closed_while_it_runs_keeps_no_check_open(desk: Desk) -> None:
    await desk.open(12)
    await desk.open(13)
    going = await desk.ran(13, 13, Verdict.PASS, finished=None, nodes={})
    await desk.say(await desk.ran(12, 12, Verdict.PASS))
    del desk.pulls[13]
    await desk.open(12)
    closed = await desk.ran(going.number, 13, Verdict.PASS, cancelled="#13 is closed", nodes={})
    await desk.say(closed)
    said = desk.shown.last
    assert (said.pull, said.conclusion) == (12, "success")
    assert said.title.startswith("roc_auc")


async def test_a_pull_request_that_is_closed_or_has_moved_on_counts_no_more(desk: Desk) -> None:
    await desk.open(12)
    await desk.ran(11, 7, Verdict.FAIL)
    await desk.say(await desk.ran(12, 12, Verdict.PASS))
    assert [(one.pull, one.conclusion) for one in desk.shown.reports] == [(12, "success")]


async def test_a_run_of_another_branch_for_the_same_commit_swallows_no_report(
    desk: Desk,
) -> None:
    await desk.open(12)
    ours = await desk.ran(12, 12, Verdict.FAIL)
    await desk.ran(13, None, Verdict.PASS, branch="trial", scope="on trial")
    await desk.say(ours)
    merged = await desk.ran(14, None, Verdict.FAIL)
    await desk.ran(15, None, Verdict.PASS, branch="trial", scope="on trial")
    await desk.say(merged)
    found = [(one.run, one.conclusion) for one in desk.shown.reports]
    assert found == [("flight-delay-12", "failure"), ("flight-delay-14", "failure")]


async def test_a_held_fork_shows_its_plan_and_the_rules_that_it_loosens_before_anything_runs(
    desk: Desk,
) -> None:
    await desk.open(12, fork=True)
    action = ReportCommit(
        repository="flights",
        commit=desk.head,
        pipeline="flight-delay",
        state="held",
        title="waits for a maintainer",
        asks="approve",
        pull=12,
    )
    await desk.applier.apply(Key("repository", "flights"), action)
    report = desk.shown.last
    assert (report.conclusion, report.asks) == ("action_required", "approve")
    assert report.title == "waits for a maintainer; 2 rules loosened"
    assert "This loosens 2 rules" in report.text
    assert "### Plan" in report.text
    assert f"comment `/headgate approve {desk.head[:12]}`" in report.text


async def test_a_pull_request_that_removes_its_pipeline_waits_and_passes_once_accepted(
    desk: Desk,
) -> None:
    await desk.open(12)
    held = ReportCommit(
        repository="flights",
        commit=desk.head,
        pipeline="gone",
        state="held",
        title="#12 removes gone",
        asks="accept",
        pull=12,
    )
    await desk.applier.apply(Key("repository", "flights"), held)
    accepted = held.model_copy(update={"state": "accepted", "asks": ""})
    await desk.applier.apply(Key("repository", "flights"), accepted)
    first, second = desk.shown.reports
    assert (first.conclusion, second.conclusion) == ("action_required", "success")
    assert f"comment `/headgate accept {desk.head[:12]}`" in first.text
    assert second.text.startswith("## ✅")


async def test_the_trend_is_of_the_versions_before_and_not_of_the_run_s_own(desk: Desk) -> None:
    spec = load(SPEC, "ml-pipeline.yaml").pipeline
    assert spec is not None
    facts = []
    for number, value in ((1, 0.741), (2, 0.752), (3, 0.8679)):
        report = model_report(Verdict.PASS)
        (roc, *others) = report.metrics
        metrics = (roc.model_copy(update={"candidate": value}), *others)
        text = report.model_copy(update={"metrics": metrics}).model_dump_json()
        version = ModelVersion(
            pipeline="flight-delay",
            number=number,
            digest=digest([number]),
            model=digest([number, "model"]),
            run="flight-delay-12" if number == 3 else f"flight-delay-{number}",
            source=SourceTree(repository="flights", commit=desk.base, folder="", files={}),
            branch="main",
            datasets={"flights": FLIGHTS},
            verdicts={"model": Verdict.PASS},
            reports={"model": (await desk.artifacts.put_bytes(text.encode())).digest},
            spec=spec,
            created=1.0,
        )
        key = Key("model", f"flight-delay/{number}")
        facts.append(Fact(key=key, body=version.model_dump(mode="json")))
    await desk.store.commit(Transaction(facts=tuple(facts)), now=1.0)
    state = PipelineState(
        name="flight-delay", repository="flights", default_branch="main", versions=3
    )
    await desk.put(Key("pipeline", "flight-delay"), state.model_dump_json())
    await desk.say(await desk.ran(12, None, Verdict.PASS))
    line = "roc_auc over the last two versions, then here: 0.741 (v1) · 0.752 (v2) · **0.8679**"
    assert line in desk.shown.last.text
