"""Stored keys and digests never change: otherwise everything would run and be released again."""

from typing import Any

import pytest

from controller.machine.runs.graph import fingerprint, key_of, package_of
from controller.machine.runs.graph_builder import build
from specs.digests import digest
from tests.controller.machine.kit import baseline, source, spec
from tests.controller.machine.test_fetched_data import ASKED, FETCHED

PAIRED = ("gates.model.checks", [{"metric": "roc_auc", "not_worse_than_baseline_by": 0.01}])
SERVE = {
    "run": "serve {model} {port} {params.depth}",
    "reads": ["serve.py"],
    "idle": "2m",
    "env": {"A": "b"},
}
BATCH = {
    "run": "score {model} {inputs.numbers} {params.depth} {outputs.scores}",
    "inputs": {"numbers": "datasets.numbers"},
    "outputs": {"scores": "scores.csv"},
    "env": {"LIMIT": "{params.unused}"},
    "reads": ["score.py"],
    "timeout": "1h",
}
NOT_SERVED = [(f"release.{part}", None) for part in ("serve", "staging", "production")]


@pytest.mark.parametrize(
    ("changes", "package"),
    [
        ([], "2674b0985ae58a0b563bd8eed8015df6a61ea292d4e03a95864e22c2261a06bf"),
        (
            [("release.serve", SERVE)],
            "a94a371339ce5d9eae164fce6206e18b4e17db685be4caf5b5b657f9cf1f559d",
        ),
        (
            [*NOT_SERVED, ("release.batch", BATCH)],
            "204309998ec967112174a5f0cf42d881b968f1089ad4f9aa770c31aa76c6d247",
        ),
        (
            [*NOT_SERVED, ("release.batch", {})],
            "512888b6e2d0c873141c2121e35722856baaddacd1ef1c9d5b05cc9cc5e4ed6f",
        ),
    ],
    ids=["as usual", "with a limit", "a batch", "a pointer"],
)
def test_a_package_keeps_its_digest(changes: list[tuple[str, Any]], package: str) -> None:
    graph = build(spec(*changes), source("c1", score__py="score"))
    assert package_of(graph, digest("a model")) == f"sha256:{package}"


def test_what_the_pods_of_a_server_are_like_makes_another_package() -> None:
    here = [
        ("environment", {"image": "x@sha256:0f"}),
        ("release.production.deployer", "kubernetes"),
    ]
    changes: list[tuple[str, Any]] = [
        ("release.serve.replicas", 2),
        ("release.serve.profile", "gpu"),
        ("release.serve.resources", {"memory": "4Gi"}),
    ]
    made = {
        package_of(build(spec(*here, *change), source("c1", score__py="score")), digest("a model"))
        for change in ([], *([each] for each in changes))
    }
    assert len(made) == 4


def test_the_nodes_of_a_run_keep_their_keys() -> None:
    graph = build(spec(PAIRED), source(), baseline(1, PAIRED))
    keys = {
        node.name: key_of(node, {name: digest(name) for name in node.inputs}).removeprefix(
            "sha256:"
        )
        for node in graph.nodes
    }
    assert keys == {
        "gate.data.numbers": "de02a3fef9a346c1d9072a7ae4ba699f9e18f5a511fb7e6f81ca2ce2ad2122dd",
        "train": "1b0d467a0c928d189e2796bd7c8b990495ed7c57dd258c43f27ebff15bb4a802",
        "evaluate": "de6c72764ba2b4cc653f83777c70289aca4fd9a491c95e571a8da5ee6d48b1d5",
        "baseline.evaluate": "75a3910b04929a72ffd732e1395dc69839b708eb73bcc5e2d6885fb7cfa3b236",
        "gate.model": "08cc2826433321ec545381383138ea420a3fa4081dcabaaee9ec04ebbf52fd76",
    }
    assert fingerprint(graph, {"numbers": digest("numbers")}) == (
        "sha256:ec9065a37932a1307933e93e00678e9755204b71610c35d9d21d1de964fdb451"
    )


@pytest.mark.parametrize(
    ("what", "key"),
    [
        (ASKED, "41043acfd6e11afd9783a5701559f492309602a0ce1306c1b8d7aa5db9cd3046"),
        (FETCHED, "3d24494c576640c006af3b4eeedfcd82de3fece6887ad58f994eb7bf345c4b81"),
    ],
    ids=["a query", "a command"],
)
def test_nodes_that_fetch_datasets_keep_their_keys(what: tuple[str, Any], key: str) -> None:
    node = build(spec(what), source()).by_name["data.numbers"]
    assert key_of(node, {name: digest(name) for name in node.inputs}) == f"sha256:{key}"
