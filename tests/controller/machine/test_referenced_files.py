"""Files outside the spec's folder count like those inside it."""

from collections.abc import Mapping
from typing import Any

import pytest

from controller.machine.runs.graph import Graph, SourceTree, attempt_of, fingerprint, key_of
from controller.machine.runs.graph_builder import build
from controller.machine.runs.referenced_files import referenced_files
from controller.machine.runs.step_nodes import image_of
from specs.model import Pipeline
from tests.controller.machine.kit import spec

FILES = {
    "teams/churn/train.py": "t",
    "teams/churn/evaluate.py": "e",
    "teams/churn/serve.py": "s",
    "teams/churn/shared": "symlink:l:1",
    "src/features.py": "f",
    "src/README.md": "r",
    "suites/numbers.yaml": "n",
    "requirements.txt": "q",
    "docker/Dockerfile": "d",
    "data/a.csv": "a",
}
READS = ["train.py", "//src/**", "!//src/*.md"]


def at(**files: str) -> SourceTree:
    """A commit with files changed; `__` is a dot and `_` a slash."""
    changes = {name.replace("__", ".").replace("_", "/"): what for name, what in files.items()}
    return SourceTree(
        repository="mono", commit="c", folder="teams/churn", files={**FILES, **changes}
    )


def churn(*changes: tuple[str, Any]) -> Pipeline:
    return spec(
        ("steps.train.reads", READS),
        ("datasets.numbers.expectations", "//suites/numbers.yaml"),
        ("environment.requirements", "//requirements.txt"),
        *changes,
    )


def keys(graph: Graph) -> Mapping[str, str]:
    names = ("numbers", "model", "dataset", "candidate", "baseline")
    return {node.name: key_of(node, dict.fromkeys(names, "d")) for node in graph.nodes}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"src_features__py": "new"}, {"train"}),
        ({"src_more__py": "new"}, {"train"}),
        ({"src_README__md": "new"}, set()),
        ({"src_deep_README__md": "new"}, {"train"}),
        ({"suites_numbers__yaml": "new"}, {"gate.data.numbers"}),
        ({"requirements__txt": "new"}, {"train", "evaluate"}),
        ({"tools_x__py": "new"}, set()),
        ({"teams_other_train__py": "new"}, set()),
    ],
)
def test_a_file_outside_the_folder_changes_the_keys_of_the_nodes_that_read_it(
    files: dict[str, str], expected: set[str]
) -> None:
    before, after = build(churn(), at()), build(churn(), at(**files))
    was, now = keys(before), keys(after)
    assert {name for name in was if was[name] != now[name]} == expected
    assert (fingerprint(before, {}) != fingerprint(after, {})) is bool(expected)


def test_an_attempt_gets_the_files_that_its_key_covers() -> None:
    node = build(churn(), at()).by_name["train"]
    assert [*node.reads] == ["//src/features.py", "train.py"]
    assert attempt_of(node, "1", {"numbers": "d"}).files == ("//src/features.py", "train.py")


def test_without_reads_the_triggers_decide_which_outside_files_count() -> None:
    everything = ("steps.train.reads", None)
    paths = ("triggers.commits", {"paths": ["**", "//src/**"]})
    alone = build(churn(everything), at()).by_name["train"].reads
    assert not any(path.startswith("//") for path in alone)
    reads = build(churn(everything, paths), at()).by_name["train"].reads
    assert {path for path in reads if path.startswith("//")} == {
        "//src/features.py",
        "//src/README.md",
    }


@pytest.mark.parametrize("reads", [["shared"], ["shared/**"], ["shared/features.py"], ["**"]])
def test_a_link_changes_with_the_files_that_it_leads_to(reads: list[str]) -> None:
    step = churn(("steps.train.reads", reads))
    before = build(step, at())
    after = build(step, at(teams_churn_shared="symlink:l:2"))
    assert "shared" in before.by_name["train"].reads
    assert keys(before)["train"] != keys(after)["train"]


def test_a_parameter_used_only_in_a_variable_is_part_of_the_key() -> None:
    env = ("steps.train.env", {"UNUSED": "{params.unused}"})
    before, after = (keys(build(churn(env, ("params.unused", value)), at())) for value in (1, 2))
    assert {name for name in before if before[name] != after[name]} == {"train"}
    serve = ("release.serve.env", {"UNUSED": "{params.unused}"})
    served = [build(churn(serve, ("params.unused", value)), at()).serve for value in (1, 2)]
    assert served[0] != served[1]


@pytest.mark.parametrize(("folder", "context"), [("//docker", "docker"), ("//", ""), (".", None)])
def test_an_image_may_be_built_from_a_folder_outside(folder: str, context: str | None) -> None:
    built = churn(("environment.build", folder), ("environment.requirements", None))
    _, one = image_of(built, at(), "train")
    _, other = image_of(built, at(docker_Dockerfile="new"), "train")
    assert one is not None
    assert other is not None
    assert one.context == ("teams/churn" if context is None else context)
    assert (one.digest != other.digest) is (context is not None)


def test_every_path_in_a_spec_counts_as_a_file_of_the_pipeline() -> None:
    named = churn(
        ("datasets.numbers.uri", "//data/*.csv"),
        ("environment.build", "//docker"),
        ("release.staging.smoke", [{"post": "/predict", "body": "//src/README.md"}]),
    )
    outside = {path for path in referenced_files(named, at()) if path.startswith("//")}
    assert outside == {f"//{path}" for path in FILES if not path.startswith("teams/")}
    assert referenced_files(spec(), at()) == at().below
