"""`headgate accept`: which dataset versions it takes, and what it says of the others."""

from collections.abc import Mapping
from typing import Any

import pytest

from controller.store.protocol import Transaction
from specs.digests import digest, short
from tests.controller.cli import seeds
from tests.controller.cli.conftest import Desk
from tests.controller.cli.test_acting import messages_to_handle
from validators.verdict import Verdict

GOOD, BAD, MENDED = (digest(f"rows {at}") for at in (1, 2, 3))
WHY = ("--reason", "a strike")


@pytest.fixture
def stopped(desk: Desk) -> Desk:
    """toy-1 passed; toy-2 read new rows and was stopped by their gate."""
    report = seeds.keep_report(desk.home, seeds.failing_report())
    runs = (seeds.judged(1, GOOD, Verdict.PASS), seeds.judged(2, BAD, Verdict.FAIL, report))
    desk.keep(*(seeds.put("run", one.id, one) for one in runs))
    desk.keep(seeds.put("pipeline", "toy", seeds.reading(runs[-1], BAD)))
    return desk


def refused(at: Desk, *arguments: str) -> str:
    result = at.do("accept", *arguments)
    assert result.exit_code != 0, result.stdout
    assert not messages_to_handle(at)
    return result.stderr


def set_up(at: Desk, newest: str, *runs: Any, **facts: Any) -> None:
    """Further runs; the last one is that of the pipeline."""
    at.keep(*(seeds.put("run", one.id, one) for one in runs))
    state = seeds.reading(runs[-1], newest, **facts)
    at.keep(seeds.put("pipeline", "toy", state, revision=1))


@pytest.mark.parametrize("given", [BAD, short(BAD), BAD[7:12]])
@pytest.mark.parametrize("dataset", ["rows", "toy/rows"])
def test_a_version_that_its_gate_stopped_is_accepted_by_the_person_who_gives_the_reason(
    stopped: Desk, dataset: str, given: str
) -> None:
    result = stopped.do("accept", dataset, given, *WHY)
    assert result.exit_code == 0, result.stderr
    (message,) = messages_to_handle(stopped)
    version: Mapping[str, Any] = message.body["versions"][0]
    assert (message.to.name, version["version"], version["reason"]) == ("toy", BAD, "a strike")
    assert (version["failed"], version["verdict"], version["run"]) == (1, "FAIL", "toy-2")
    assert version["by"]


@pytest.mark.parametrize("given", [(), ("--reason", ""), ("--reason", " \n")])
def test_a_reason_is_required(stopped: Desk, given: tuple[str, ...]) -> None:
    assert "--reason" in refused(stopped, "rows", BAD, *given)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["rosw", BAD], "Did you mean rows?"),
        (["toy/rosw", BAD], "Did you mean rows?"),
        (["tyo/rows", BAD], "Did you mean toy?"),
        (["rows", "0123456"], f"to accept: {short(BAD)} (stopped in toy-2)"),
        (["rows", GOOD], "passed its gate in toy-1: there is nothing to accept"),
    ],
)
def test_what_is_not_there_or_passed_is_refused_with_what_could_be_meant(
    stopped: Desk, arguments: list[str], why: str
) -> None:
    assert why in refused(stopped, *arguments, *WHY)


def test_of_two_pipelines_with_the_dataset_one_has_to_be_named(stopped: Desk) -> None:
    last = seeds.judged(1, GOOD, Verdict.PASS)
    stopped.keep(seeds.put("pipeline", "zoo", seeds.reading(last, GOOD, "zoo")))
    assert "name one of toy/rows, zoo/rows" in refused(stopped, "rows", BAD, *WHY)
    assert stopped.do("accept", "toy/rows", BAD, *WHY).exit_code == 0


def test_a_version_that_was_replaced_is_refused_with_that_which_runs_read_now(
    stopped: Desk,
) -> None:
    set_up(stopped, MENDED, seeds.judged(3, MENDED, Verdict.PASS))
    said = refused(stopped, "rows", BAD, *WHY)
    assert f"{short(BAD)} was replaced by {short(MENDED)}, which runs read now" in said


def test_a_gate_that_could_not_judge_has_no_verdict_to_overrule(stopped: Desk) -> None:
    set_up(stopped, MENDED, seeds.judged(3, MENDED, Verdict.ERROR))
    said = refused(stopped, "rows", MENDED, *WHY)
    assert "there is no verdict to overrule" in said
    assert "`headgate retry toy-3`" in said


def test_a_gate_that_failed_and_could_not_judge_all_is_not_overruled_either(stopped: Desk) -> None:
    report = seeds.failing_report(Verdict.FAIL, Verdict.ERROR, Verdict.ERROR)
    digest_ = seeds.keep_report(stopped.home, report)
    set_up(stopped, MENDED, seeds.judged(3, MENDED, Verdict.FAIL, digest_))
    assert "Not evaluated: check 1 and 1 more." in refused(stopped, "rows", MENDED, *WHY)


def test_a_gate_that_decided_nothing_is_overruled_with_as_many_checks_as_decided_nothing(
    stopped: Desk,
) -> None:
    report = seeds.failing_report(Verdict.INCONCLUSIVE, Verdict.PASS, Verdict.SKIPPED)
    digest_ = seeds.keep_report(stopped.home, report)
    set_up(stopped, MENDED, seeds.judged(3, MENDED, Verdict.INCONCLUSIVE, digest_))
    assert stopped.do("accept", "rows", MENDED, *WHY).exit_code == 0
    (message,) = messages_to_handle(stopped)
    (version,) = message.body["versions"]
    assert (version["verdict"], version["failed"]) == ("INCONCLUSIVE", 1)


def with_custom(at: Desk, verdict: Verdict) -> None:
    """toy-3 was stopped by its gate and, by that verdict or not, by that of custom expectations."""
    report = seeds.keep_report(at.home, seeds.failing_report())
    run = seeds.judged(3, MENDED, Verdict.FAIL, report)
    gate = run.nodes["gate.data.rows"].model_copy(update={"key": "custom", "verdict": verdict})
    nodes = {**run.nodes, "gate.data.rows.custom": gate}
    set_up(at, MENDED, run.model_copy(update={"nodes": nodes}))


@pytest.mark.parametrize(
    ("verdict", "gates"),
    [
        (Verdict.PASS, ["gate.data.rows"]),
        (Verdict.FAIL, ["gate.data.rows", "gate.data.rows.custom"]),
    ],
)
def test_both_gates_of_a_dataset_are_overruled_if_both_stopped_it(
    stopped: Desk, verdict: Verdict, gates: list[str]
) -> None:
    with_custom(stopped, verdict)
    assert stopped.do("accept", "rows", MENDED, *WHY).exit_code == 0
    (message,) = messages_to_handle(stopped)
    assert [one["gate"] for one in message.body["versions"]] == gates


def test_custom_expectations_that_could_not_be_judged_keep_a_version_from_being_accepted(
    stopped: Desk,
) -> None:
    with_custom(stopped, Verdict.ERROR)
    assert "there is no verdict to overrule" in refused(stopped, "rows", MENDED, *WHY)


def test_nobody_accepts_what_they_cannot_read(stopped: Desk) -> None:
    set_up(stopped, MENDED, seeds.judged(3, MENDED, Verdict.FAIL, digest("lost")))
    assert "`headgate retry toy-3` judges again" in refused(stopped, "rows", MENDED, *WHY)


def test_what_only_a_pull_request_has_read_is_not_accepted_for_production(stopped: Desk) -> None:
    report = seeds.keep_report(stopped.home, seeds.failing_report())
    facts: dict[str, Any] = {"releases": False, "pull": 7, "branch": "pull/7"}
    stopped.keep(seeds.put("run", "toy-3", seeds.judged(3, MENDED, Verdict.FAIL, report, **facts)))
    assert "a run of pull request #7" in refused(stopped, "rows", MENDED, *WHY)


def test_a_version_that_a_pull_request_read_last_is_accepted_as_the_default_branch_s_run_has_it(
    stopped: Desk,
) -> None:
    facts: dict[str, Any] = {"releases": False, "pull": 7, "branch": "pull/7"}
    stopped.keep(seeds.put("run", "toy-3", seeds.judged(3, BAD, Verdict.PASS, **facts)))
    assert stopped.do("accept", "rows", BAD, *WHY).exit_code == 0


@pytest.fixture
def accepted(stopped: Desk) -> Desk:
    """toy-3 passed, as ana accepted the rows; production serves what it made."""
    run = seeds.judged(2, BAD, Verdict.FAIL)
    known = (seeds.acceptance(run, BAD),)
    later = seeds.judged(3, BAD, Verdict.FAIL, accepted_versions=known)
    set_up(stopped, BAD, later, accepted_versions=known)
    version = seeds.version(1).model_copy(update={"accepted_versions": known})
    stopped.keep(Transaction(facts=(seeds.fact("model", "toy/1", version),)))
    env = seeds.environment(stable=version.ref)
    stopped.keep(seeds.put("environment", "toy/production", env))
    return stopped


SAID = "accepted by ana on 1970-01-02: a strike; the gate failed 1 check"


def test_accepting_again_says_who_has_and_sends_nothing(accepted: Desk) -> None:
    result = accepted.do("accept", "rows", BAD, "--reason", "me too")
    assert (result.exit_code, result.stdout) == (0, f"rows {short(BAD)} is already {SAID}.\n")
    assert not messages_to_handle(accepted)


def test_status_and_show_say_who_accepted_what_and_why(accepted: Desk) -> None:
    assert f"rows {short(BAD)} {SAID}" in flat(accepted.do("status").stdout)
    for what in ("toy-3", "toy/1"):
        assert SAID in flat(accepted.do("show", what).stdout)


def flat(text: str) -> str:
    return " ".join(text.split())


def test_revoking_names_what_serves_because_of_it(accepted: Desk) -> None:
    result = accepted.do("accept", "rows", short(BAD), "--revoke", "--reason", "it was none")
    assert result.exit_code == 0
    (message,) = messages_to_handle(accepted)
    assert (message.type, message.body["version"]) == ("revoke_data", BAD)
    assert "`headgate rollback toy/production`" in result.stdout


def test_what_nobody_has_accepted_cannot_be_revoked(accepted: Desk) -> None:
    said = refused(accepted, "rows", GOOD, "--revoke", *WHY)
    assert f"expected one of {short(BAD)}" in said


def test_the_report_of_a_run_on_accepted_data_says_so_and_fails_nothing(stopped: Desk) -> None:
    report = seeds.keep_report(stopped.home, seeds.failing_report())
    run = seeds.judged(2, BAD, Verdict.FAIL, report)
    known = (seeds.acceptance(run, BAD),)
    later = seeds.judged(3, BAD, Verdict.FAIL, report, accepted_versions=known)
    stopped.keep(*seeds.run_changes(later))
    for form in ("markdown", "html", "junit"):
        page = stopped.do("show", "toy-3", "--format", form).stdout
        assert "accepted by ana on 1970" in page.replace("&#45;", "-")
        assert "<failure" not in page
