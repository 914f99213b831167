"""Datasets that a run fetches itself: the rows of queries, and the outputs of commands."""

from typing import Any

import pytest

from controller.machine.core import parsed
from controller.machine.pipelines.data import DatasetListing
from controller.machine.pipelines.policy import rule_changes
from controller.machine.pipelines.trust import RunTerms, graph_of
from controller.machine.runs.attempt import Attempt, AttemptState
from controller.machine.runs.data_exceptions import Fallback
from controller.machine.runs.dataset_nodes import UNASKED
from controller.machine.runs.graph import Graph, Rules, fingerprint, key_of
from controller.machine.runs.graph_builder import build, build_model_only
from controller.machine.runs.run import CachedResult, Run
from specs.digests import digest
from tests.controller.machine.kit import baseline, fields, source, spec
from tests.controller.machine.lab import Lab, lab
from tests.controller.machine.team import Team

NUMBERS = "datasets.numbers"
SUITE = {"expectations": "numbers.yaml"}
QUERY = {"url": "${SHOP}", "sql": "SELECT * FROM n", "version": "SELECT max(at) FROM n"}
ASKED = (NUMBERS, {"query": QUERY, **SUITE})
EACH_RUN = (NUMBERS, {"query": {**QUERY, "version": None}, **SUITE})
PULL = {"run": "pull {params.depth} {output}", "reads": ["train.py"]}
FETCHED = (NUMBERS, {"fetch": PULL, **SUITE})
HERE = "a query of ${SHOP}"
V1, V2 = digest("v1"), digest("v2")
NO_TRIGGER = ("triggers.data", None)


def query(**changed: Any) -> tuple[str, Any]:
    return (NUMBERS, {"query": {**QUERY, **changed}, **SUITE})


def run_of(what: tuple[str, Any], taken: str = "rows", version: str = V1, **more: Any) -> Lab:
    """A run whose data has that content and, for a query, that version."""
    known = {} if what is not ASKED else {"numbers": V1}
    one = lab(what, datasets=known, **more)

    def contents(attempt: Attempt, output: str) -> str:
        if attempt.node != "data.numbers":
            given = sorted(each.digest for each in attempt.inputs.values())
            return digest([attempt.node, output, *given])
        return version if output == "version" else digest(taken)

    one.contents = contents
    return one


# -- the graph -------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", [ASKED, EACH_RUN, FETCHED])
def test_everything_that_reads_the_dataset_reads_what_was_fetched(what: tuple[str, Any]) -> None:
    graph = build(spec(what), source(), baseline(1, what))
    assert graph.nodes[0].name == "data.numbers"
    assert graph.nodes[0].kind == "data"
    readers = [n.name for n in graph.nodes for o in n.inputs.values() if o.node == "data.numbers"]
    assert readers == ["gate.data.numbers", "train", "evaluate", "baseline.evaluate"]
    left = [n.name for n in graph.nodes for o in n.inputs.values() if o.dataset]
    assert left == (["data.numbers"] if what is ASKED else [])
    assert graph.by_name["train"].after == ("gate.data.numbers",)


def test_a_baseline_whose_data_was_a_file_is_evaluated_on_the_rows_of_the_query() -> None:
    graph = build(spec(ASKED), source(), baseline(1))
    given = graph.by_name["baseline.evaluate"].attempt.inputs["numbers"]
    assert (given.kind, given.name) == ("taken", "numbers.parquet")


def test_making_only_the_model_of_a_base_fetches_its_data_first() -> None:
    names = [node.name for node in build_model_only(spec(FETCHED), source()).nodes]
    assert names == ["data.numbers", "train"]


def test_a_spec_without_fetched_data_keeps_its_keys() -> None:
    graph = build(spec(), source())
    assert not [node for node in graph.nodes if node.kind == "data"]
    train = graph.by_name["train"]
    assert key_of(train, {"numbers": V1}) == (
        "sha256:f78c71d572ab6ef6f9b34d766ce3cee1342b79d2284aa05870a3266316347912"
    )
    assert (
        fingerprint(graph, {"numbers": V1})
        == "sha256:9bf2992c5a6e28a6319e24e17cbd31d9921013862fff423baffffc99964498a0"
    )


def test_a_dataset_that_nothing_reads_is_not_fetched() -> None:
    other = ("datasets.other", {"query": QUERY})
    names = [node.name for node in build(spec(ASKED, other), source()).nodes]
    assert "data.other" not in names


def test_a_fetch_may_use_the_network_of_its_container() -> None:
    node = build(spec((NUMBERS, {"fetch": {**PULL, "image": "x@sha256:1"}, **SUITE})), source())
    assert node.nodes[0].attempt.network


def test_a_fetch_has_the_settings_of_a_step() -> None:
    node = build(spec(FETCHED), source()).nodes[0]
    assert node.attempt.program == "step"
    assert node.attempt.params == {"depth": "6"}
    assert list(node.reads) == ["train.py"]
    assert node.attempt.folders == ("data",)
    named = (NUMBERS, {"fetch": {"run": "curl -o {output} x", "file": "in/numbers.csv"}})
    graph = build(spec(named), source())
    assert graph.nodes[0].attempt.folders == ()
    assert graph.by_name["train"].attempt.inputs["numbers"].name == "numbers.csv"


# -- runs ------------------------------------------------------------------------------------------


def test_rows_are_fetched_once_for_each_version() -> None:
    first = run_of(ASKED)
    first.finish(dt=1.0)
    assert first.order[:3] == ["data.numbers", "gate.data.numbers", "train"]
    again = run_of(ASKED, cache=first.cache)
    again.finish(dt=1.0)
    assert again.order == []


@pytest.mark.parametrize("what", [EACH_RUN, FETCHED])
def test_without_a_version_data_is_fetched_in_each_run_and_later_keys_depend_on_content(
    what: tuple[str, Any],
) -> None:
    first = run_of(what)
    first.finish(dt=1.0)
    same = run_of(what, cache=first.cache)
    same.finish(dt=1.0)
    assert same.order == ["data.numbers"]
    other = run_of(what, taken="other rows", cache=first.cache)
    other.finish(dt=1.0)
    assert other.order == [
        "data.numbers", "gate.data.numbers", "train", "evaluate", "gate.model"
    ]  # fmt: skip


def test_rows_newer_than_the_run_asked_for_are_cached_under_their_own_version() -> None:
    first = run_of(ASKED, taken="newer rows", version=V2)
    first.finish(dt=1.0)
    assert first.run.outcome == "passed"
    assert first.run.datasets == {"numbers": V2}
    # What was asked for was never taken; what was taken is.
    older = run_of(ASKED, cache=first.cache)
    older.finish(dt=1.0)
    assert older.order[0] == "data.numbers"
    newer = Lab(older.graph, datasets={"numbers": V2}, cache=dict(first.cache))
    newer.finish(dt=1.0)
    assert newer.order == []


def test_a_run_that_found_newer_rows_than_the_last_good_ones_does_not_say_it_read_those() -> None:
    one = run_of(ASKED, taken="newer rows", version=V2)
    older = Fallback(dataset="numbers", version=V1, failed=V2, run="mean-0")
    (sent,) = one.inbox
    run = parsed(Run, fields(sent)["run"]).model_copy(update={"fallbacks": (older,)})
    one.inbox.clear()
    one.send("start_run", {"run": run.model_dump(mode="json")})
    one.reconcile()
    assert [each.version for each in one.run.fallbacks] == [V1]
    one.finish(dt=1.0)
    assert (one.run.datasets, one.run.fallbacks) == ({"numbers": V2}, ())


def test_rows_that_change_while_they_are_fetched_start_the_run_over() -> None:
    one = run_of(ASKED, endings={"data.numbers": [AttemptState.DATA_CHANGED]})
    one.finish(dt=1.0)
    assert one.run.outcome == "failed"
    assert fields(one.messages[-1])["stale"] == ["numbers"]
    assert one.run.nodes["gate.data.numbers"].verdict is None


# -- pipelines -------------------------------------------------------------------------------------


def asked(*what: tuple[str, Any]) -> Team:
    team = Team()
    team.buckets[HERE] = DatasetListing(digest=V1)
    team.push("c1", *what)
    team.turn()
    return team


def test_a_query_with_a_version_starts_a_run_once_it_is_quiet() -> None:
    team = asked(ASKED)
    team.turn(30.0)
    team.end()
    team.turn()
    team.buckets[HERE] = DatasetListing(digest=V2)
    team.turn()
    assert list(team.runs) == ["mean-1"]
    team.turn(30.0)
    assert team.last_run.trigger.kind == "data"
    assert team.last_run.datasets == {"numbers": V2}


def test_a_run_waits_for_an_unreachable_database_and_says_so() -> None:
    team = Team()
    why = "datasets.numbers: the database is unreachable: connection refused"
    team.buckets[HERE] = DatasetListing(problem=why)
    commit = team.push("c1", ASKED)
    team.turn()
    assert not team.runs
    assert team.told(commit) == [("running", f"waits: {why}")]
    team.buckets[HERE] = DatasetListing(digest=V1)
    team.turn()
    team.turn(30.0)
    assert team.last_run.datasets == {"numbers": V1}


@pytest.mark.parametrize("what", [EACH_RUN, FETCHED])
def test_no_run_waits_for_data_without_a_version(what: tuple[str, Any]) -> None:
    team = asked(what, NO_TRIGGER)
    assert team.last_run.datasets == {}


def test_newer_rows_that_a_run_has_fetched_start_no_further_run() -> None:
    team = asked(ASKED)
    team.turn(30.0)
    first = team.last_run
    team.runs[first.id] = first.model_copy(update={"datasets": {"numbers": V2}})
    team.end()
    team.buckets[HERE] = DatasetListing(digest=V2)
    team.turn()
    team.turn(60.0)
    team.turn()
    assert list(team.runs) == ["mean-1"]


# -- pull requests ---------------------------------------------------------------------------------


def terms(*marked: str, fork: bool = False, base: tuple[str, Any] = ASKED) -> RunTerms:
    secrets = ("triggers.pull_requests", {"secrets": [*marked]})
    return RunTerms(rules=Rules(spec=spec(base, secrets), source=source("c0")), fork=fork)


def proposed(what: tuple[str, Any], on: RunTerms) -> Graph:
    return graph_of(spec(what), source(), None, on)


@pytest.mark.parametrize(
    ("on", "given"),
    [(terms("SHOP"), ("SHOP",)), (terms(), ()), (terms("SHOP", fork=True), ())],
)
def test_a_pull_request_gets_the_address_only_if_its_base_allows_it(
    on: RunTerms, given: tuple[str, ...]
) -> None:
    node = proposed(ASKED, on).nodes[0]
    assert node.attempt.secrets == given
    assert ("denied" in node.attempt.request) == (not given)
    assert "triggers.pull_requests.secrets" in str(node.attempt.request) or given
    # Its key is the same: rows that the default branch took may be read.
    of_branch = build(spec(ASKED), source()).nodes[0]
    assert key_of(node, {"version": V1}) == key_of(of_branch, {"version": V1})


def test_a_pull_request_without_the_address_reads_rows_that_were_fetched_before() -> None:
    before = run_of(ASKED)
    before.finish(dt=1.0)
    known: dict[str, CachedResult] = before.cache
    one = Lab(proposed(ASKED, terms()), datasets={"numbers": V1}, cache=known)
    one.finish(dt=1.0)
    assert one.run.outcome == "passed"
    assert "data.numbers" not in one.order


def test_a_pull_requests_new_query_is_neither_run_nor_waited_for() -> None:
    team = asked(ASKED)
    team.turn(30.0)
    team.end()
    team.turn()
    other = query(sql="SELECT * FROM other", version="SELECT 1 FROM other")
    base = {"number": 7, "base": "main", "head": "", "title": "t", "author": "eve"}
    commit = team.push("p1", other, branch="pull request 7")
    body = fields(team.inbox[-1]) | {"pull": {**base, "head": commit}}
    team.inbox.pop()
    team.say("commit_seen", body)
    team.turn()
    team.turn()
    assert team.last_run.branch == "pull request 7"
    assert team.last_run.datasets == {"numbers": UNASKED}


# -- policy ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "rule", "was", "now"),
    [
        (
            ASKED, query(sql="SELECT 1"),
            "datasets.numbers.query.sql", "SELECT * FROM n", "SELECT 1",
        ),
        (ASKED, query(url="${OTHER}"), "datasets.numbers.query.url", "${SHOP}", "${OTHER}"),
        (
            ASKED, EACH_RUN,
            "datasets.numbers.query.version", "SELECT max(at) FROM n", "none",
        ),
        (
            FETCHED, (NUMBERS, {"fetch": {"run": "pull easy {output}"}, **SUITE}),
            "datasets.numbers.fetch.run", "pull {params.depth} {output}", "pull easy {output}",
        ),
        (
            ASKED, (NUMBERS, {"uri": "easy/*.csv", **SUITE}),
            "datasets.numbers.uri", "none", "easy/*.csv",
        ),
    ],
)  # fmt: skip
def test_a_change_of_where_data_comes_from_is_reported_as_loosening(
    before: tuple[str, Any], after: tuple[str, Any], rule: str, was: str, now: str
) -> None:
    found = rule_changes(
        Rules(spec=spec(before), source=source()), Rules(spec=spec(after), source=source("c2"))
    )
    told = [(one.was, one.now, one.loosens) for one in found if one.rule == rule]
    assert told == [(was, now, True)]
    assert not [one for one in found if one.rule == f"exam: {rule}"]


def test_another_program_that_fetches_the_exams_data_changes_the_exam() -> None:
    before = Rules(spec=spec(FETCHED), source=source())
    after = Rules(spec=spec(FETCHED), source=source("c2", train__py="easier"))
    rules = [one.rule for one in rule_changes(before, after)]
    assert "exam: train.py" in rules


def test_the_base_examines_on_its_own_query_if_a_pull_request_changes_it() -> None:
    on = terms("SHOP")
    graph = proposed(query(sql="SELECT easy FROM n"), on)
    names = [node.name for node in graph.nodes]
    assert names[:2] == ["data.numbers", "base.data.numbers"]
    assert "gate.base.data.numbers" in names
    given = graph.by_name["base.evaluate"].inputs["numbers"]
    assert (given.node, given.output) == ("base.data.numbers", "data")
    same = proposed(query(timeout="2h"), on)
    assert "base.data.numbers" not in [node.name for node in same.nodes]


def test_the_program_that_queries_the_database_gets_the_query_and_its_version() -> None:
    asks = build(spec(ASKED), source()).by_name["data.numbers"].attempt.request
    assert {name: asks[name] for name in ("url", "sql", "version")} == QUERY


def test_the_model_of_a_base_is_what_its_step_makes() -> None:
    model = build_model_only(spec(FETCHED), source()).model
    assert model is not None
    assert (model.node, model.output) == ("train", "model")


def test_a_query_without_a_version_is_identified_by_its_rows() -> None:
    outputs = build(spec(EACH_RUN), source()).by_name["data.numbers"].attempt.outputs
    assert list(outputs) == ["data"]
    assert list(build(spec(ASKED), source()).by_name["data.numbers"].attempt.outputs) == [
        "data",
        "version",
    ]
