"""What the cache key of a node, the fingerprint of a run and the digest of a package cover."""

from typing import Any

import pytest

from controller.machine.pipelines.code import Code
from controller.machine.pipelines.touched import touched
from controller.machine.runs.graph import Graph, SourceTree, fingerprint, key_of, package_of
from controller.machine.runs.graph_builder import build
from specs.digests import digest
from tests.controller.machine.kit import baseline, source, spec

DATA = {"numbers": digest("numbers")}
INPUTS = {name: digest(name) for name in ("numbers", "model", "dataset", "candidate", "baseline")}


def keys(graph: Graph) -> dict[str, str]:
    return {node.name: key_of(node, INPUTS) for node in graph.nodes}


def changed(*changes: tuple[str, Any], at: SourceTree | None = None) -> set[str]:
    """The nodes whose own key differs after a change of the spec or of the files."""
    before, after = keys(build(spec(), source())), keys(build(spec(*changes), at or source("c2")))
    return {name for name in before if before[name] != after.get(name)}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, set()),
        ({"README__md": "new"}, set()),
        ({"docs/index__html": "new"}, set()),
        ({"serve__py": "new"}, set()),
        ({"train__py": "new"}, {"train"}),
        ({"evaluate__py": "new"}, {"evaluate"}),
        ({"numbers__yaml": "new"}, {"gate.data.numbers"}),
        ({"requirements__txt": "new"}, {"train", "evaluate"}),
    ],
)
def test_a_file_changes_the_keys_of_the_nodes_that_read_it(
    files: dict[str, str], expected: set[str]
) -> None:
    assert changed(at=source("c2", **files)) == expected


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("params.depth", 7, {"train"}),
        ("params.unused", 2, set()),
        ("steps.train.params", {"depth": 7}, {"train"}),
        ("steps.train.timeout", "2h", set()),
        ("steps.train.retries", 3, set()),
        ("steps.train.env", {"A": "b"}, {"train"}),
        ("steps.train.image", "other:1", {"train"}),
        ("environment.python", "3.12", {"train", "evaluate"}),
        ("steps.evaluate.reads", ["*.py"], {"evaluate"}),
        ("gates.model.threshold", 0.4, {"gate.model"}),
        ("datasets.numbers.types", {"zip": "string"}, {"gate.data.numbers"}),
        ("datasets.numbers.nulls", ["", "NA"], {"gate.data.numbers"}),
        ("steps.train.train", {"runtime": "torch", "nodes": 2}, {"train"}),
        ("datasets.numbers.csv", {"delimiter": ";"}, {"gate.data.numbers"}),
        ("datasets.numbers.columns", {"zip": {"examples": True}}, {"gate.data.numbers"}),
        ("datasets.numbers.columns", {"zip": {"examples": False}}, set()),
        ("datasets.numbers.on_failure", "use_last_good", set()),
        ("release.production.approval", "pull-request", set()),
        ("metadata.owners", ["@me"], set()),
    ],
)
def test_a_part_of_the_spec_changes_the_keys_of_the_nodes_that_use_it(
    path: str, value: Any, expected: set[str]
) -> None:
    assert changed((path, value)) == expected


def test_without_reads_a_step_reads_the_files_that_trigger_runs_except_suites() -> None:
    graph = build(spec(("steps.train.reads", None)), source())
    expected = {"evaluate.py", "requirements.txt", "serve.py", "train.py"}
    assert set(graph.by_name["train"].reads) == expected


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        (["train.py", "ml-pipeline.yaml"], {"train"}),
        (["//ml-pipeline.yaml"], {"train"}),
        (["**"], set()),
        (["*.yaml"], set()),
        (["**", "ml-pipeline.yaml", "!*.yaml"], set()),
    ],
)
def test_a_spec_counts_for_a_step_that_names_it_and_for_no_glob(
    reads: list[str], expected: set[str]
) -> None:
    reading = spec(("steps.train.reads", reads))
    was = Code(source=source(), spec=reading)
    now = Code(source=source("c2", **{"ml-pipeline__yaml": "a comment"}), spec=reading)

    before, after = keys(build(reading, was.source)), keys(build(reading, now.source))

    assert {name for name in before if before[name] != after[name]} == expected
    assert touched({"ml-pipeline.yaml": was}, {"ml-pipeline.yaml": now}) == (
        ("ml-pipeline.yaml",) if expected else ()
    )


def test_an_input_with_another_content_changes_the_key() -> None:
    node = build(spec(), source()).by_name["train"]
    assert key_of(node, {"numbers": digest("a")}) != key_of(node, {"numbers": digest("b")})


def test_a_step_waits_for_the_gate_of_the_data_that_it_reads() -> None:
    graph = build(spec(), source())
    assert graph.by_name["train"].after == ("gate.data.numbers",)
    assert graph.by_name["evaluate"].needs == ("train", "gate.data.numbers")


def test_steps_come_after_those_that_they_read_from_whatever_their_order_in_the_spec() -> None:
    plain = spec()
    steps = {"evaluate": plain.steps["evaluate"], "train": plain.steps["train"]}
    graph = build(plain.model_copy(update={"steps": steps}), source())
    names = [node.name for node in graph.nodes]
    assert names.index("train") < names.index("evaluate")


def test_the_baseline_is_evaluated_at_its_own_commit_from_its_stored_model() -> None:
    old = baseline(1)
    node = build(spec(), source("c2"), old).by_name["baseline.evaluate"]
    assert node.is_evidence
    assert node.attempt.commit == old.source.commit
    assert node.inputs["model"].artifact == old.model
    assert node.inputs["numbers"].dataset == "numbers"


@pytest.mark.parametrize(
    "change",
    [
        ("gates", {}),
        ("datasets.other", {"uri": "file:///other/*.csv"}),
    ],
)
def test_the_gate_is_told_that_the_baseline_cannot_run_on_this_data(
    change: tuple[str, Any],
) -> None:
    changes = [change]
    if change[0] == "datasets.other":
        changes.append(
            ("steps.evaluate.inputs", {"model": "steps.train.model", "numbers": "datasets.other"})
        )
    graph = build(spec(), source("c2"), baseline(1, *changes))
    assert "baseline.evaluate" not in graph.by_name
    request = graph.by_name["gate.model"].attempt.request
    assert request["no_baseline"] == "v1 has no evaluation that could run on this data"


def test_a_baseline_that_reads_an_output_the_candidate_does_not_make_is_not_evaluated() -> None:
    table = {"run": "make {outputs.table}", "outputs": {"table": "table.csv"}}
    reads = {"model": "steps.train.model", "numbers": "steps.prepare.table"}
    old = baseline(1, ("steps.prepare", table), ("steps.evaluate.inputs", reads))
    frame = {"run": "make {outputs.frame}", "outputs": {"frame": "frame.csv"}}
    graph = build(spec(("steps.prepare", frame)), source("c2"), old)
    assert "baseline.evaluate" not in graph.by_name


def test_a_promotion_alone_does_not_change_the_fingerprint() -> None:
    alone = fingerprint(build(spec(), source()), DATA)
    for number in (1, 2):
        assert fingerprint(build(spec(), source(), baseline(number)), DATA) == alone


OTHER = {
    "run": "train {inputs.numbers} {params.depth} {outputs.model}",
    "inputs": {"numbers": "datasets.numbers"},
    "outputs": {"model": "model.json"},
}


@pytest.mark.parametrize(
    ("changes", "files", "same"),
    [
        ([], {}, True),
        ([], {"README__md": "new"}, True),
        ([("params.unused", 2)], {}, True),
        ([("release.production.canary.deadline", "2m")], {}, True),
        ([("params.depth", 7)], {}, False),
        ([], {"serve__py": "new"}, False),
        ([("release.serve.run", "serve2 {model} {port}")], {}, False),
        ([("release", None)], {}, False),
    ],
)
def test_the_fingerprint_changes_only_with_what_a_run_reads(
    changes: list[tuple[str, Any]], files: dict[str, str], same: bool
) -> None:
    before = fingerprint(build(spec(), source()), DATA)
    after = fingerprint(build(spec(*changes), source("c2", **files)), DATA)
    assert (before == after) is same


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("steps.evaluate.inputs.model", "steps.other.model"),
        ("steps.train.inputs.numbers", "datasets.more"),
        ("model", "steps.other.model"),
    ],
)
def test_connecting_the_same_steps_differently_changes_the_fingerprint(
    path: str, value: str
) -> None:
    more = [("steps.other", OTHER), ("datasets.more", {"uri": "file:///more/*.csv"})]
    data = {**DATA, "more": digest("more")}
    before = fingerprint(build(spec(*more), source()), data)
    assert fingerprint(build(spec(*more, (path, value)), source()), data) != before


def test_a_package_is_the_model_with_its_server_and_environment() -> None:
    model = digest("a model")
    package = package_of(build(spec(), source()), model)
    assert package == package_of(build(spec(("params.depth", 7)), source("c2")), model)
    assert package != package_of(build(spec(), source("c2", serve__py="new")), model)
    assert package != package_of(build(spec(), source("c2", requirements__txt="new")), model)
    assert package != package_of(build(spec(), source()), digest("another"))


@pytest.mark.parametrize(
    ("setting", "usual", "other"),
    [
        ("answer_within", "30s", "31s"),
        ("idle", "1m", "2m"),
        ("largest_request", "16Mi", "1Mi"),
    ],
)
def test_a_limit_on_requests_changes_the_package_unless_it_is_the_default(
    setting: str, usual: str, other: str
) -> None:
    model, where = digest("a model"), f"release.serve.{setting}"
    package = package_of(build(spec(), source()), model)
    assert package == package_of(build(spec((where, usual)), source()), model)
    assert package != package_of(build(spec((where, other)), source()), model)


def test_a_parameter_that_the_server_uses_is_part_of_the_package() -> None:
    model, run = digest("a model"), "serve {model} {port} {params.depth}"
    given = spec(("release.serve.run", run))
    other = spec(("release.serve.run", run), ("params.depth", 7))
    unused = spec(("release.serve.run", run), ("params.unused", 7))
    package = package_of(build(given, source()), model)
    assert package != package_of(build(other, source()), model)
    assert package == package_of(build(unused, source()), model)


def test_an_address_is_part_of_the_key_only_of_a_step_that_is_given_it() -> None:
    moved = ("datasets.numbers.uri", "file:///elsewhere/*.csv")
    assert changed(moved) == set()
    told = ("steps.train.access", {"numbers": "uri"})
    before, after = build(spec(told), source()), build(spec(told, moved), source())
    assert {n for n in keys(before) if keys(before)[n] != keys(after)[n]} == {"train"}
    assert after.by_name["train"].attempt.inputs["numbers"].uri == "file:///elsewhere/*.csv"


def test_the_baseline_is_given_the_address_of_the_candidates_data() -> None:
    moved = spec(("datasets.numbers.uri", "file:///elsewhere/*.csv"))
    node = build(moved, source("c2"), baseline(1)).by_name["baseline.evaluate"]
    assert node.attempt.inputs["numbers"].uri == "file:///elsewhere/*.csv"


def test_what_a_node_is_given_is_called_as_it_was_where_it_was_written() -> None:
    graph = build(spec(), source())
    called = {
        name: {local: given.name for local, given in graph.by_name[name].attempt.inputs.items()}
        for name in ("evaluate", "gate.model")
    }
    assert called == {
        "evaluate": {"model": "model.json", "numbers": "numbers"},
        "gate.model": {"candidate": "rows.csv"},
    }


def test_a_steps_limits_are_its_attempts_in_numbers() -> None:
    limits = {"memory": "512Mi", "cpu": "500m"}
    made = build(spec(("environment.resources", limits)), source())
    attempt = made.by_name["train"].attempt
    assert (attempt.memory, attempt.cpu) == (512 * 2**20, 0.5)
