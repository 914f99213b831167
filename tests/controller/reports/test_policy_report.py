"""The policy check: what a pull request loosens, and who has to accept it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from controller.config.secrets import Secrets
from controller.git import Mirror
from controller.git.repositories import Repositories
from controller.machine.actions import ReportPolicy
from controller.machine.core import Key
from controller.reports.forge import CommitReport
from controller.reports.links import Links
from controller.reports.notes_forge import NotesForge
from controller.reports.policy_applier import PolicyApplier
from specs.failures import Ignore
from tests.controller.git.git_server import Person, run_git
from tests.controller.reports.recording_forge import RecordingForge
from tests.controller.reports.stories import SPEC
from tests.controller.reports.test_plan import FILES, LOOSENED

OWNER = Key("pipeline", "flight-delay")
APPROVERS = SPEC + 'policy: {approvers: ["@grace", "@octo/ml"]}\n'


class Desk:
    """A repository with a base branch, and reports on pull requests into it."""

    def __init__(self, tmp_path: Path) -> None:
        self.ada = Person(tmp_path / "ada")
        self.mirror = Mirror(str(self.ada.remote), tmp_path / "mirror.git")
        self.shown = RecordingForge()
        self.repositories = Repositories({"flights": self.mirror}, tmp_path / "checkouts")
        self.base = self.ada.push(FILES)

    def push(self, files: Mapping[str, str | None], branch: str = "main") -> str:
        """A commit with these files; None deletes one."""
        for path in (path for path, text in files.items() if text is None):
            (self.ada.clone / path).unlink()
        return self.ada.push({p: t for p, t in files.items() if t is not None}, branch=branch)

    async def said(
        self, files: Mapping[str, str | None], *, accepted: str = "", pipeline: str = "flight-delay"
    ) -> CommitReport:
        """The report on a pull request that changes these files; None deletes one."""
        head = self.push(files, "mine")
        await self.mirror.fetch()
        action = ReportPolicy(
            repository="flights",
            commit=head,
            pipeline=pipeline,
            pull=12,
            base="main",
            base_commit=self.base,
            accepted=accepted,
        )
        links = {"flights": Links("https://git.example/octo/flights")}
        secrets = Secrets({"TOKEN": "hunter2*!"})
        applier = PolicyApplier(self.repositories, self.shown, secrets, links)
        await applier.apply(OWNER, action)
        return self.shown.last


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_a_change_that_loosens_nothing_passes_and_says_how_many_rules_changed(
    desk: Desk,
) -> None:
    report = await desk.said({"train.py": "deeper"})
    assert (report.kind, report.conclusion, report.title) == (
        "policy",
        "success",
        "no rule loosened",
    )
    stricter = SPEC.replace("at_least: 0.6", "at_least: 0.7")
    report = await desk.said({"ml-pipeline.yaml": stricter})
    assert (report.conclusion, report.title) == ("success", "no rule loosened (1 changed)")
    assert report.asks == ""


async def test_loosened_rules_fail_until_those_with_the_right_accept_that_very_commit(
    desk: Desk,
) -> None:
    desk.base = desk.ada.push({"ml-pipeline.yaml": APPROVERS})
    looser: dict[str, str] = {
        **LOOSENED,
        "ml-pipeline.yaml": APPROVERS.replace("at_least: 0.6", "at_least: 0.5"),
    }
    report = await desk.said(looser)
    assert (report.conclusion, report.asks, report.state) == ("failure", "accept", "held")
    assert report.title.startswith("2 rules loosened: ")
    assert report.title.endswith("waiting for @grace or @octo/ml to accept this commit")
    assert f"`/headgate accept {report.commit[:12]}`" in report.text
    assert "**at least 0.6** | **at least 0.5** |" in report.text
    assert f"https://git.example/octo/flights/commit/{desk.base}" in report.text
    accepted = await desk.said({}, accepted="grace")
    assert (accepted.conclusion, accepted.asks, accepted.state) == ("success", "", "accepted")
    assert accepted.title.endswith("accepted by @grace")
    assert "**at least 0.6** | **at least 0.5** |" in accepted.text


async def test_a_pull_request_cannot_name_its_own_approvers(desk: Desk) -> None:
    own = SPEC.replace("at_least: 0.6", "at_least: 0.5") + 'policy: {approvers: ["@mallory"]}\n'
    report = await desk.said({"ml-pipeline.yaml": own})
    assert report.conclusion == "failure"
    awaited = report.title.partition("waiting for ")[2]
    assert awaited == "a repository administrator to accept this commit"


async def test_a_spec_that_moves_and_loosens_is_held_to_the_rules_it_had_elsewhere(
    desk: Desk,
) -> None:
    moved = {f"team/{name}": text for name, text in {**FILES, **LOOSENED}.items()}
    report = await desk.said({"ml-pipeline.yaml": None, **moved})
    assert report.conclusion == "failure"
    moves = "from `ml-pipeline.yaml` to `team/ml-pipeline.yaml`"
    assert f"The spec moves {moves}: its rules follow its name." in report.text
    assert "**at least 0.6** | **at least 0.5** |" in report.text


async def test_a_removed_pipeline_fails_until_it_is_accepted(desk: Desk) -> None:
    report = await desk.said({"ml-pipeline.yaml": None})
    assert report.conclusion == "failure"
    assert report.title.startswith("removes flight-delay with all its rules; waiting for ")
    report = await desk.said({"README.md": "gone"}, accepted="grace")
    assert report.conclusion == "success"
    assert report.title == "removes flight-delay with all its rules, accepted by @grace"


async def test_what_comes_back_without_gates_is_compared_with_what_was_deleted(
    desk: Desk,
) -> None:
    desk.base = desk.push({"ml-pipeline.yaml": None})
    bare = SPEC.partition("gates:")[0]
    report = await desk.said({"ml-pipeline.yaml": bare})
    assert report.conclusion == "failure"
    assert "gates.model" in report.title
    assert "last valid spec there" in report.text


async def test_a_new_pipeline_passes_and_says_in_bold_what_it_lacks(desk: Desk) -> None:
    bare = SPEC.partition("gates:")[0].replace(", expectations: suite.yaml", "")
    other = bare.replace("name: flight-delay", "name: fares")
    files = {f"fares/{name}": text for name, text in {**FILES, "ml-pipeline.yaml": other}.items()}
    report = await desk.said(files, pipeline="fares")
    assert (report.conclusion, report.title) == (
        "success",
        "fares is new: this sets its first rules",
    )
    assert "**no model gate: any model passes**" in report.text
    assert "**no suite for `flights`: any data passes**" in report.text


async def test_an_invalid_spec_cannot_be_compared_and_so_does_not_pass(desk: Desk) -> None:
    report = await desk.said({"ml-pipeline.yaml": "metadata: {name: flight-delay}\nsteps: []\n"})
    assert (report.conclusion, report.asks, report.state) == ("failure", "", "invalid")
    assert "so its rules cannot be compared" in report.title
    accepted = await desk.said({"README.md": "x"}, accepted="grace")
    assert accepted.conclusion == "failure", "what cannot be read cannot be accepted"


async def test_a_pipeline_in_neither_commit_is_not_reported(desk: Desk) -> None:
    with pytest.raises(Ignore, match="in neither the base nor the head"):
        await desk.said({"train.py": "x"}, pipeline="fares")


async def test_secrets_and_mentions_of_a_spec_are_in_no_part_of_it(desk: Desk) -> None:
    told = SPEC.replace('["@flights"]', '["@flights", "@hunter2*!"]')
    report = await desk.said({"ml-pipeline.yaml": told})
    assert "hunter2" not in report.text
    assert "@flights" not in report.text, "nobody is called by a report"


async def test_a_policy_report_makes_no_note(desk: Desk) -> None:
    report = await desk.said(LOOSENED)
    await NotesForge({"flights": desk.mirror}).report(report)
    refs = run_git(desk.ada.remote, "for-each-ref", "refs/notes")
    assert refs == ""
