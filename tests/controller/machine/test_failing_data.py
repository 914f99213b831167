"""What a pipeline makes of data that fails its gate: it stops, a person accepts it, or the last
good version is read in its place."""

from typing import Any

import pytest

from controller.machine.actions import Notify, ReportCommit
from controller.machine.core import parsed
from controller.machine.messages import MESSAGES, AcceptData
from controller.machine.pipelines.failing_data import in_use
from controller.machine.pipelines.pipeline import PipelineState
from controller.machine.repositories.pull import Pull
from controller.machine.runs.data_exceptions import AcceptedVersion
from specs.digests import digest, short
from tests.controller.machine.kit import sha
from tests.controller.machine.team import MAIN, Team
from validators.verdict import Verdict

USE_LAST_GOOD = ("datasets.numbers.on_failure", "use_last_good")
GOOD, BAD, MENDED = (digest(f"numbers {at}") for at in (1, 2, 3))


def began(*changes: tuple[str, Any]) -> Team:
    """A team whose first run passed its data gate; version 1 was released."""
    team = Team()
    team.push("c1", *changes)
    team.turn()
    team.turn(30.0)
    team.end(data=Verdict.PASS)
    team.turn()
    assert team.releases() == [1]
    return team


def delivered_badly(*changes: tuple[str, Any], verdict: Verdict = Verdict.FAIL) -> Team:
    """Then new data came, and its gate stopped the run."""
    team = began(*changes)
    deliver(team, "numbers 2")
    team.end("stopped", data=verdict)
    team.turn()
    return team


def deliver(team: Team, content: str) -> None:
    """New data comes and is complete."""
    team.drop(content)
    team.turn()
    team.turn(31.0)


def acceptance(team: Team, run: str = "mean-2", **facts: Any) -> AcceptedVersion:
    over = team.ended[run]
    gate = over.nodes["gate.data.numbers"]
    known: dict[str, Any] = {"dataset": "numbers", "version": over.datasets["numbers"], "run": run}
    known |= {"gate": "gate.data.numbers", "key": gate.key, "verdict": gate.verdict, "failed": 3}
    return AcceptedVersion(**(known | {"by": "ana", "reason": "a strike", "at": 0.0} | facts))


def accept(team: Team, **facts: Any) -> None:
    message = AcceptData(versions=(acceptance(team, **facts),))
    team.say("accept_data", message.model_dump(mode="json", exclude={"type"}))


def revoke(team: Team) -> None:
    body = {"dataset": "numbers", "version": BAD, "by": "bob", "reason": "no strike"}
    team.say("revoke_data", body)


def reads(team: Team) -> str:
    """What the last run reads."""
    return team.last_run.datasets["numbers"]


# -- by default ----------------------------------------------------------------------------------


def test_a_failing_version_runs_nothing_more_and_a_mended_upload_runs_by_itself() -> None:
    team = delivered_badly()
    for _ in range(3):
        team.turn(60.0)
    assert (list(team.runs), team.releases()) == (["mean-1", "mean-2"], [1])
    deliver(team, "numbers 3")
    assert (team.last_run.id, reads(team)) == ("mean-3", MENDED)
    team.end(data=Verdict.PASS, model="a better one")
    team.turn()
    assert team.releases() == [1, 2]
    assert [status for _, status, _ in team.alerts()] == ["firing", "resolved"]


# -- accepting -----------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.INCONCLUSIVE])
def test_an_accepted_version_starts_the_run_that_it_stopped_again(verdict: Verdict) -> None:
    team = delivered_badly(verdict=verdict)
    accept(team)
    team.turn()
    run = team.last_run
    assert (run.id, reads(team), run.trigger.by) == ("mean-3", BAD, "ana")
    assert "ana accepted numbers" in run.trigger.why
    (one,) = run.accepted_versions
    assert (one.reason, one.at) == ("a strike", team.now)


def test_accepting_twice_runs_once_and_keeps_the_first_reason() -> None:
    team = delivered_badly()
    accept(team)
    team.turn()
    team.end(data=Verdict.FAIL)
    team.turn()
    accept(team, by="bob", reason="me too")
    team.turn()
    assert list(team.runs) == ["mean-1", "mean-2", "mean-3"]
    assert [one.by for one in team.pipeline.accepted_versions] == ["ana"]


def test_a_run_that_rests_on_an_acceptance_is_released_and_its_version_says_so() -> None:
    team = delivered_badly()
    accept(team)
    team.turn()
    team.end(data=Verdict.FAIL, model="another")
    team.turn()
    assert team.releases() == [1, 2]
    version = next(fact.body for fact in team.facts if fact.key.name == "mean/2")
    assert [one["reason"] for one in version["accepted_versions"]] == ["a strike"]
    resolved = [x for x in team.actions if isinstance(x, Notify) and x.status == "resolved"]
    assert [f"numbers {short(BAD)} accepted by ana" in x.incident.what for x in resolved] == [True]


def test_a_commit_that_changes_nothing_is_covered_by_the_run_on_accepted_data() -> None:
    team = delivered_badly()
    accept(team)
    team.turn()
    team.end(data=Verdict.FAIL)
    team.turn()
    docs = team.push("c2", README__md="better words")
    team.turn()
    title = "nothing to run: nothing it reads has changed since mean-3 (passed)"
    assert team.told(docs) == [("skipped", title)]


def test_another_suite_is_another_question_and_the_acceptance_no_answer_to_it() -> None:
    team = delivered_badly()
    accept(team)
    team.turn()
    team.end(data=Verdict.FAIL)
    team.turn()
    team.push("c2", numbers__yaml="a stricter suite")
    team.turn()
    assert (team.last_run.id, team.last_run.accepted_versions) == ("mean-4", ())


def test_a_revoked_acceptance_stops_the_next_run_and_says_who_and_why() -> None:
    team = delivered_badly()
    accept(team)
    team.turn()
    team.end(data=Verdict.FAIL)
    team.turn()
    revoke(team)
    team.turn()
    run = team.last_run
    assert (run.id, run.accepted_versions) == ("mean-4", ())
    assert run.trigger.why == f"bob no longer accepts numbers {short(BAD)}: no strike"
    team.end("stopped", data=Verdict.FAIL)
    team.turn()
    revoke(team)
    team.turn()
    assert list(team.runs)[-1] == "mean-4", "nothing is left to revoke"


def test_newer_data_is_judged_for_itself_and_status_forgets_what_was_accepted() -> None:
    team = delivered_badly()
    accept(team)
    team.turn()
    team.end(data=Verdict.FAIL)
    team.turn()
    assert [one.version for one in in_use(team.pipeline)] == [BAD]
    deliver(team, "numbers 3")
    assert (reads(team), team.last_run.accepted_versions) == (MENDED, ())
    assert in_use(team.pipeline) == ()


def test_a_pull_request_reads_what_is_accepted_for_the_same_suite_and_version() -> None:
    """Its gate is the base's, so that the question is the same."""
    team = delivered_badly()
    accept(team)
    team.turn()
    team.end(data=Verdict.FAIL)
    team.turn()
    propose(team, ("params.depth", 9))
    assert [one.by for one in team.last_run.accepted_versions] == ["ana"]


# -- the last good version -----------------------------------------------------------------------


def test_with_use_last_good_a_run_that_would_repeat_the_last_is_not_started_but_told() -> None:
    team = delivered_badly(USE_LAST_GOOD)
    for _ in range(5):
        team.turn(60.0)
    assert list(team.runs) == ["mean-1", "mean-2"]
    (title,) = [title for state, title in team.told(sha("c1")) if state == "skipped"]
    assert title == (
        f"nothing to run: numbers is read at {short(GOOD)}, the last version that passed its "
        f"gate, as {short(BAD)} failed it in mean-2; nothing it reads has changed since mean-1 "
        "(passed)"
    )
    assert team.pipeline.held_back is not None
    assert short(BAD) in team.pipeline.held_back
    assert [status for _, status, _ in team.alerts()] == ["firing"]
    told = next(each for each in team.actions if isinstance(each, Notify))
    assert "Runs go on: numbers is read at" in told.incident.what


def test_the_report_with_the_evidence_stays_on_the_commit_whose_run_the_gate_stopped() -> None:
    """A later commit is not to blame: it has the result of the run that covers it."""
    team = delivered_badly(USE_LAST_GOOD)
    team.turn()
    docs = team.push("c2", USE_LAST_GOOD, README__md="better words")
    team.turn()
    skipped = [x for x in team.actions if isinstance(x, ReportCommit) and x.state == "skipped"]
    assert [(each.commit, each.run) for each in skipped] == [
        (sha("c1"), "mean-2"),
        (docs, "mean-1"),
    ]
    assert all("numbers is read at" in each.title for each in skipped)


def test_with_use_last_good_a_commit_goes_on_with_the_last_version_that_passed() -> None:
    team = delivered_badly(USE_LAST_GOOD)
    team.push("c2", USE_LAST_GOOD, ("params.depth", 7))
    team.turn()
    run = team.last_run
    assert (run.id, reads(team)) == ("mean-3", GOOD)
    (older,) = run.fallbacks
    assert (older.version, older.failed, older.run) == (GOOD, BAD, "mean-2")
    team.end(data=Verdict.PASS, model="deeper")
    team.turn()
    assert team.releases() == [1, 2]
    version = next(fact.body for fact in team.facts if fact.key.name == "mean/2")
    assert version["fallbacks"][0]["failed"] == BAD
    assert [status for _, status, _ in team.alerts()] == ["firing"], "the newest still fails"
    team.turn(3600.0)
    assert list(team.runs)[-1] == "mean-3"


def test_a_commit_with_bad_data_of_its_own_time_goes_on_in_the_next_run() -> None:
    team = began(USE_LAST_GOOD)
    team.drop("numbers 2")
    team.turn()
    team.now += 31.0
    team.push("c2", USE_LAST_GOOD, ("params.depth", 7))
    team.turn()
    assert reads(team) == BAD
    team.end("stopped", data=Verdict.FAIL)
    team.turn()
    assert (team.last_run.id, reads(team)) == ("mean-3", GOOD)
    assert team.last_run.trigger.why.startswith(f"numbers is read at {short(GOOD)}")


def test_a_mended_upload_replaces_the_last_good_version() -> None:
    team = delivered_badly(USE_LAST_GOOD)
    deliver(team, "numbers 3")
    assert (reads(team), team.last_run.fallbacks) == (MENDED, ())
    team.end(data=Verdict.PASS)
    team.turn()
    assert team.pipeline.held_back is None
    assert [status for _, status, _ in team.alerts()] == ["firing", "resolved"]
    deliver(team, "numbers 4")
    team.end("stopped", data=Verdict.FAIL)
    team.turn()
    team.push("c2", USE_LAST_GOOD, ("params.depth", 7))
    team.turn()
    assert reads(team) == MENDED


def test_without_a_version_that_ever_passed_it_stops() -> None:
    team = Team()
    team.push("c1", USE_LAST_GOOD)
    team.turn()
    team.turn(30.0)
    team.end("stopped", data=Verdict.FAIL)
    team.turn()
    team.turn(60.0)
    assert list(team.runs) == ["mean-1"]


def test_a_gate_that_could_not_judge_has_failed_nothing() -> None:
    team = delivered_badly(USE_LAST_GOOD, verdict=Verdict.ERROR)
    assert team.pipeline.failing == {}
    team.push("c2", USE_LAST_GOOD, ("params.depth", 7))
    team.turn()
    assert reads(team) == BAD, "it is judged again"


def test_a_last_good_version_that_fails_by_a_new_suite_is_good_no_more() -> None:
    """The newest is judged by it, then the last good one; then it stops, and does not go round."""
    team = delivered_badly(USE_LAST_GOOD)
    team.push("c2", USE_LAST_GOOD, numbers__yaml="a stricter suite")
    team.turn()
    assert reads(team) == BAD
    team.end("stopped", data=Verdict.FAIL)
    team.turn()
    assert reads(team) == GOOD
    team.end("stopped", data=Verdict.FAIL)
    for _ in range(4):
        team.turn(60.0)
    assert list(team.runs)[-1] == "mean-4"
    assert team.pipeline.good == {}


def test_a_last_good_version_whose_objects_were_replaced_is_good_no_more() -> None:
    team = delivered_badly(USE_LAST_GOOD)
    team.push("c2", USE_LAST_GOOD, ("params.depth", 7))
    team.turn()
    assert reads(team) == GOOD
    team.end("failed", stale=["numbers"])
    team.turn()
    assert reads(team) == BAD, "as without the setting: its gate stops it"
    assert team.pipeline.good == {}


def test_what_a_person_accepts_is_read_in_place_of_the_last_good_version() -> None:
    team = delivered_badly(USE_LAST_GOOD)
    accept(team)
    team.turn()
    assert (reads(team), team.last_run.fallbacks) == (BAD, ())
    team.end(data=Verdict.FAIL)
    team.turn()
    assert team.pipeline.good, "an accepted version is not a good one"
    revoke(team)
    team.turn()
    team.push("c2", USE_LAST_GOOD, ("params.depth", 7))
    team.turn()
    assert reads(team) == GOOD


def test_what_was_accepted_and_fails_a_new_suite_is_replaced_by_the_last_good_version() -> None:
    team = delivered_badly(USE_LAST_GOOD)
    accept(team)
    team.turn()
    team.end(data=Verdict.FAIL)
    team.turn()
    team.push("c2", USE_LAST_GOOD, numbers__yaml="a stricter suite")
    team.turn()
    assert (reads(team), team.last_run.accepted_versions) == (BAD, ())
    team.end("stopped", data=Verdict.FAIL)
    team.turn()
    assert reads(team) == GOOD


def test_the_same_name_at_another_address_has_no_last_good_version_here() -> None:
    team = delivered_badly(USE_LAST_GOOD)
    elsewhere = ("datasets.numbers.uri", "file:///other/*.csv")
    team.drop("numbers 2", "file:///other/*.csv")
    team.push("c2", USE_LAST_GOOD, elsewhere)
    team.turn()
    team.turn(31.0)
    assert reads(team) == BAD
    assert list(team.pipeline.good) == []


def test_a_query_is_read_at_the_rows_of_its_last_good_version() -> None:
    query = {"url": "${SHOP}", "sql": "SELECT * FROM n", "version": "SELECT max(at) FROM n"}
    says = {"query": query, "expectations": "numbers.yaml", "on_failure": "use_last_good"}
    team = Team()
    where = "a query of ${SHOP}"
    team.drop("numbers 1", where)
    team.push("c1", ("datasets.numbers", says))
    for number, verdict in ((1, Verdict.PASS), (2, Verdict.FAIL)):
        team.drop(f"numbers {number}", where)
        team.turn()
        team.turn(31.0)
        team.end("passed" if verdict is Verdict.PASS else "stopped", data=verdict)
        team.turn()
    team.push("c2", ("datasets.numbers", says), ("params.depth", 7))
    team.turn()
    assert (reads(team), [one.failed for one in team.last_run.fallbacks]) == (GOOD, [BAD])


# -- pull requests -------------------------------------------------------------------------------


def propose(team: Team, *changes: tuple[str, Any]) -> None:
    """A pull request of the last commit of the default branch."""
    base = team.pipeline.heads[MAIN]
    pull = Pull(number=7, title="t", author="eve", head="", base=MAIN, base_commit=base)
    commit = team.push("p1", *changes, branch="pull/7")
    seen = team.inbox.pop()
    body = {**seen.message.plain(), "pull": pull.model_copy(update={"head": commit}).plain()}
    message = parsed(MESSAGES["commit_seen"], body)
    team.inbox.append(seen.model_copy(update={"message": message}))
    team.turn()
    team.turn(31.0)


def test_a_pull_request_cannot_give_itself_older_data_for_what_fails() -> None:
    team = delivered_badly()
    propose(team, USE_LAST_GOOD, ("params.depth", 9))
    assert (team.last_run.base, reads(team)) == (sha("c1"), BAD)


def test_a_pull_request_is_read_at_the_last_good_version_if_its_base_says_so() -> None:
    team = delivered_badly(USE_LAST_GOOD)
    propose(team, ("params.depth", 9))
    assert (team.last_run.base, reads(team)) == (sha("c1"), GOOD)


# -- states of older controllers -----------------------------------------------------------------


def test_a_state_without_these_facts_is_read() -> None:
    team = began()
    body = team.pipeline.plain()
    for name in ("accepted_versions", "good", "failing"):
        del body[name]
    assert parsed(PipelineState, body).good == {}
