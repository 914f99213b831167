"""What a pipeline makes of pull requests: whose gates judge, what is superseded, what is told."""

from dataclasses import dataclass, field
from typing import Any

from controller.machine.actions import ReportCommit
from controller.machine.core import parsed
from controller.machine.pipelines.launching import equivalent_run
from controller.machine.pipelines.pipeline import Last, ObservedPipeline, PipelineState
from controller.machine.repositories.pull import Pull, pull_branch
from controller.machine.runs.graph import Baseline, Graph
from tests.controller.machine.kit import baseline, fields, sha
from tests.controller.machine.team import Team

LOOSE = ("gates.model.checks", [{"metric": "roc_auc", "at_least": 0.1}])
SECRET = ("steps.train.secrets", ["TOKEN"])
MARKED = ("triggers.pull_requests", {"secrets": ["TOKEN"]})
OFF = ("triggers.pull_requests", {"enabled": False})


@dataclass
class Reviewed(Team):
    """A team with pull requests, and a model in production."""

    baseline: Baseline | None = None

    confined: bool = True
    pulls: dict[str, Pull] = field(default_factory=dict)

    def observe(self) -> ObservedPipeline:
        update = {"baseline": self.baseline, "confined": self.confined}
        return super().observe().model_copy(update=update)

    def propose(
        self, name: str, *changes: tuple[str, Any], number: int = 7, on: str = "c1", **facts: Any
    ) -> str:
        """Pull request `number` has a new head, off the base commit `on`."""
        commit = self.push(name, *changes, branch=pull_branch(number))
        told = self.inbox.pop()
        about = {"base": "main", "author": "ada", "title": f"Try {name}", **facts}
        pull = Pull(number=number, head=commit, base_commit=sha(on), **about)
        self.pulls[pull_branch(number)] = pull
        body = {**fields(told), "pull": pull.plain()}
        self.say("commit_seen", body)
        return commit

    def graph(self) -> Graph:
        """That of the last run."""
        (found,) = (f for f in self.facts if f.key == ("graph", self.last_run.id))
        return parsed(Graph, found.body)

    def accept(self, commit: str, by: str = "grace", number: int = 7) -> None:
        branch = pull_branch(number)
        body = {"branch": branch, "commit": commit, "by": by}
        self.say("rules_accepted", {**body, "pull": self.pulls[branch].plain()})

    def limits(self) -> list[float]:
        checks = self.graph().by_name["gate.model"].attempt.request["gate"]["checks"]
        return [check["at_least"] for check in checks]


def reviewed(*changes: tuple[str, Any]) -> Reviewed:
    """Version 1 of main is released."""
    team = Reviewed()
    team.push("c1", *changes)
    team.turn()
    team.turn(30.0)
    team.end()
    team.turn()
    assert team.releases() == [1]
    return team


def test_a_pull_request_is_judged_by_the_gates_of_its_base_and_releases_nothing() -> None:
    team = reviewed()
    team.propose("p1", LOOSE)
    team.turn()
    run = team.last_run
    assert (run.pull, run.base, run.branch, run.releases) == (7, sha("c1"), pull_branch(7), False)
    assert run.trigger.kind == "pull_request"
    assert team.limits() == [0.6, 0.1]
    team.end()
    team.turn()
    assert team.releases() == [1]


def test_it_cannot_switch_its_own_judge_off() -> None:
    team = reviewed()
    commit = team.propose("p1", OFF, LOOSE)
    team.turn()
    assert team.last_run.commit == commit


def test_where_the_base_switches_pull_requests_off_nothing_runs_and_it_says_so() -> None:
    team = reviewed(OFF)
    commit = team.propose("p1", LOOSE)
    team.turn()
    ((state, title),) = team.told(commit)
    assert state == "held", "a neutral check would let it be merged unseen"
    assert "triggers.pull_requests is off; `/headgate run` judges it" in title
    (held,) = [a for a in team.actions if isinstance(a, ReportCommit) and a.commit == commit]
    assert held.pull == 7, "its comment tells of it"
    assert list(team.runs) == ["mean-1"]
    team.trigger(force=True, branch=pull_branch(7))
    team.turn()
    assert team.last_run.commit == commit, "somebody asked for it"


def test_it_gets_the_secrets_that_its_base_marks_and_that_of_a_fork_none() -> None:
    team = reviewed(SECRET, MARKED)
    team.propose("p1", SECRET, ("params.depth", 7))
    team.turn()
    assert team.graph().by_name["train"].attempt.secrets == ("TOKEN",)
    team.propose("p2", SECRET, MARKED, ("params.depth", 8), number=8, fork=True)
    team.turn()
    assert team.graph().by_name["train"].attempt.secrets == ()


def test_the_baseline_that_reads_what_a_pull_request_makes_is_given_no_more_than_that() -> None:
    team = reviewed(MARKED)
    asks = ("steps.evaluate.secrets", ["TOKEN", "PASSWORD"])
    team.baseline = baseline(1, asks)
    team.propose("p1", MARKED, ("params.depth", 7))
    team.turn()
    assert team.graph().by_name["baseline.evaluate"].attempt.secrets == ("TOKEN",)
    team.push("c2", ("params.depth", 9))
    team.turn()
    assert team.graph().by_name["baseline.evaluate"].attempt.secrets == ("TOKEN", "PASSWORD")


def test_a_newer_commit_cancels_the_run_of_the_older() -> None:
    team = reviewed()
    team.propose("p1", ("params.depth", 7))
    team.turn()
    team.propose("p2", ("params.depth", 8))
    team.turn()
    assert team.cancelled() == ["mean-2"]
    team.end("cancelled", "mean-2")
    team.turn()
    assert team.last_run.commit == sha("p2")


def test_a_newer_commit_that_changes_nothing_waits_for_the_run_and_none_waits_in_line() -> None:
    team = reviewed()
    queue = ("triggers.commits.supersede", "queue")
    team.propose("p1", ("params.depth", 7), queue)
    team.turn()
    run = team.last_run.id
    second = team.propose("p2", ("params.depth", 7), queue)
    team.turn()
    assert team.cancelled() == []
    assert f"{run} is running and covers it" in team.told(second)[-1][1]
    team.propose("p3", ("params.depth", 8), queue)
    team.turn()
    assert team.cancelled() == [run]
    assert team.told(second)[-1] == ("cancelled", f"superseded by {sha('p3')[:12]}")


def test_one_that_is_for_a_stricter_base_now_is_judged_anew_by_that_one() -> None:
    team = reviewed()
    team.push("c0", LOOSE, branch="lenient")
    team.turn()
    team.propose("p1", LOOSE, ("params.depth", 7), on="c0", base="lenient")
    team.turn()
    assert team.limits() == [0.1]
    run = team.last_run.id
    team.propose("p1", LOOSE, ("params.depth", 7))
    team.turn()
    assert run in team.cancelled()
    team.end("cancelled", run)
    team.turn()
    assert (team.last_run.commit, team.limits()) == (sha("p1"), [0.6, 0.1])


def test_the_same_told_twice_cancels_and_runs_nothing() -> None:
    team = reviewed()
    for _ in range(2):
        team.propose("p1", ("params.depth", 7))
        team.turn()
    assert team.cancelled() == []
    assert list(team.runs) == ["mean-1", "mean-2"]


def test_what_is_said_of_it_names_the_pull_request() -> None:
    team = reviewed()
    team.push("p0", broken=True, branch="elsewhere")
    team.inbox.clear()
    team.propose("p1", ("params.depth", 7))
    team.code[sha("p1")] = team.code[sha("p0")]
    team.turn()
    (said,) = [a for a in team.actions if isinstance(a, ReportCommit) and a.commit == sha("p1")]
    assert (said.state, said.pull) == ("invalid", 7)


def test_two_pull_requests_of_one_commit_have_a_run_each() -> None:
    team = reviewed()
    team.propose("p1", ("params.depth", 7))
    team.propose("p1", ("params.depth", 7), number=8)
    team.turn()
    assert [run.pull for run in team.runs.values()] == [None, 7, 8]


def test_one_of_another_repository_cannot_claim_the_name_even_when_main_is_gone() -> None:
    team = reviewed()
    team.lose()
    team.turn()
    commit = team.propose("p1", ("params.depth", 7))
    told = fields(team.inbox.pop())
    team.say("commit_seen", {**told, "repository": "theirs"})
    team.turn()
    ((state, title),) = team.told(commit)
    assert state == "invalid"
    assert "team has a pipeline mean already" in title
    assert team.pipeline.repository == "team"
    assert pull_branch(7) not in team.pipeline.heads


# -- whose rules -----------------------------------------------------------------------------------


def test_a_run_that_is_asked_for_later_is_judged_by_the_base_as_it_is_then() -> None:
    team = reviewed(LOOSE)
    team.propose("p1", LOOSE, ("params.depth", 7))
    team.turn()
    team.end()
    assert team.limits() == [0.1]
    team.push("c2")  # main asks for more now
    team.turn()
    team.pulls[pull_branch(7)] = team.pulls[pull_branch(7)].model_copy(
        update={"base_commit": sha("c2")}
    )
    body = {"kind": "manual", "why": "ada asked", "branch": pull_branch(7), "force": True}
    team.say("run_requested", {**body, "pull": team.pulls[pull_branch(7)].plain()})
    team.turn()
    assert (team.last_run.pull, team.limits()) == (7, [0.6, 0.1])
    assert team.last_run.base == sha("c2")


def test_a_commit_whose_rules_were_accepted_is_judged_by_its_own_and_the_next_is_not() -> None:
    team = reviewed()
    commit = team.propose("p1", LOOSE, ("params.depth", 7))
    team.turn()
    team.end("stopped")
    team.accept(commit)
    team.turn()
    assert (team.last_run.accepted, team.limits()) == ("grace", [0.1])
    team.end()
    team.propose("p2", LOOSE, ("params.depth", 8))
    team.turn()
    assert (team.last_run.accepted, team.limits()) == ("", [0.6, 0.1])


def test_accepting_a_commit_that_is_not_the_head_any_more_does_nothing() -> None:
    team = reviewed()
    old = team.propose("p1", LOOSE, ("params.depth", 7))
    team.propose("p2", LOOSE, ("params.depth", 8))
    team.turn()
    runs = list(team.runs)
    team.accept(old)
    team.turn()
    assert list(team.runs) == runs
    assert team.pipeline.accepted == {}


def test_what_was_accepted_of_a_commit_is_over_with_the_next_push_also_if_it_comes_back() -> None:
    team = reviewed()
    commit = team.propose("p1", LOOSE, ("params.depth", 7))
    team.accept(commit)
    team.turn()
    team.end("cancelled")
    team.propose("p2", LOOSE, ("params.depth", 8))
    team.turn()
    team.propose("p1", LOOSE, ("params.depth", 7))
    team.turn()
    team.end("cancelled")
    team.turn()
    assert (team.last_run.commit, team.last_run.accepted) == (commit, "")


def test_what_was_accepted_for_one_base_is_not_for_another() -> None:
    team = reviewed()
    team.push("c0", LOOSE, branch="lenient")
    team.turn()
    commit = team.propose("p1", LOOSE, ("params.depth", 7), on="c0", base="lenient")
    team.accept(commit)
    team.turn()
    assert team.last_run.accepted == "grace"
    team.end("cancelled")
    team.propose("p1", LOOSE, ("params.depth", 7))
    team.turn()
    assert (team.last_run.accepted, team.limits()) == ("", [0.6, 0.1])


def test_each_base_has_a_scope_of_its_own_and_so_has_a_branch_that_is_watched() -> None:
    team = reviewed()
    team.push("c0", LOOSE, branch="easy")
    team.turn()
    assert team.last_run.scope == "on easy"
    team.propose("p1", ("params.depth", 7), on="c0", base="easy", number=7)
    team.propose("p1", ("params.depth", 7), number=8)
    team.turn()
    scopes = {run.pull: run.scope for run in team.runs.values() if run.commit == sha("p1")}
    assert scopes == {7: "into easy", 8: ""}


def test_a_fork_runs_on_this_machine_only_where_its_steps_are_confined() -> None:
    team = reviewed()
    team.confined = False
    commit = team.propose("p1", ("params.depth", 7), fork=True)
    team.turn()
    ((state, title),) = team.told(commit)
    assert (state, list(team.runs)) == ("held", ["mean-1"])
    assert "would not be confined" in title
    team.propose("p2", ("params.depth", 8), ("environment.image", "python:3.11"), fork=True)
    team.turn()
    assert list(team.runs) == ["mean-1", "mean-2"], "a container is confined"


# -- the base's data -------------------------------------------------------------------------------

EASY = ("datasets.numbers.uri", "file:///easy/*.csv")


def test_data_that_a_pull_request_replaced_is_pinned_beside_its_own() -> None:
    team = reviewed()
    easy = team.drop("easy", "file:///easy/*.csv")
    team.propose("p1", EASY)
    team.turn()
    team.turn(40.0)  # until it was quiet for long enough
    run = team.last_run
    assert run.pull == 7
    assert run.datasets["numbers"] == easy
    assert run.datasets["base.numbers"] != easy
    assert "gate.model.base" in team.graph().by_name


def test_data_of_the_base_that_is_gone_leaves_the_candidate_unexamined_and_not_passed() -> None:
    team = reviewed()
    team.drop("easy", "file:///easy/*.csv")
    del team.buckets["file:///bucket/*.csv"]
    team.state = team.pipeline.model_copy(update={"data": {}})
    team.propose("p1", EASY)
    team.turn()
    team.turn(40.0)
    gate = team.graph().by_name["gate.model.base"]
    assert "candidate" not in gate.inputs
    assert "there is no object at file:///bucket/*.csv" in gate.attempt.request["no_candidate"]


def test_a_merge_group_stands_by_what_a_pull_request_into_its_base_has_shown() -> None:
    def shown(base: str = "main", outcome: str = "passed", queued: bool = True) -> Last | None:
        group = Pull(number=7, head=sha("merged"), base="main", queued=queued)
        pull = Pull(number=7, head=sha("c7"), base=base)
        state = PipelineState(
            name="mean",
            repository="team",
            default_branch="main",
            pulls={"group": group, "pull/7": pull},
            last={"pull/7": last.model_copy(update={"outcome": outcome})},
        )
        assert equivalent_run(state, "group", "another") is None
        return equivalent_run(state, "group", "one")

    last = Last(run="mean-7", commit=sha("c7"), fingerprint="one")
    assert shown() == last.model_copy(update={"outcome": "passed"})
    assert shown(outcome="stopped") is not None
    assert shown(outcome="failed") is None
    assert shown(outcome="running") is None
    assert shown(base="next") is None
    assert shown(queued=False) is None


def test_a_run_says_which_version_it_is_held_against() -> None:
    team = Reviewed(baseline=baseline(3))
    team.push("c1")
    team.turn()
    team.turn(30.0)
    assert team.last_run.baseline == 3
    bare = Reviewed()
    bare.push("c1")
    bare.turn()
    bare.turn(30.0)
    assert bare.last_run.baseline is None
