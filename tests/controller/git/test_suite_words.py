"""Which of a spec's `params` its suites name is known once the spec has been read."""

from controller.git.environment_surveys import Surveyed, surveyed
from specs.lint.check import check
from specs.path_index import PathIndex

SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: mean}
datasets:
  flights: {uri: "data/*.csv", expectations: suite.yaml}
params: {most: 5, depth: 3, idle: 1}
steps:
  train:
    run: python {inputs.flights} {params.depth}
    inputs: {flights: datasets.flights}
"""
SUITE = """\
name: s
expectations:
  - {type: t, kwargs: {column: x, max_value: {$PARAMETER: most * 2}, min_value: {$PARAMETER: low}}}
"""


class Read:
    """Files, and which of them were read."""

    def __init__(self, **files: str) -> None:
        self.files = {name.replace("__", "."): text.encode() for name, text in files.items()}
        self.read: list[str] = []

    def __call__(self, path: str) -> bytes | None:
        self.read.append(path)
        return self.files.get(path)


def survey(spec: str, reads: Read) -> Surveyed:
    return surveyed(check(spec, "ml-pipeline.yaml"), "", PathIndex(reads.files), reads)


def test_the_params_that_a_suite_names_are_used_and_the_others_are_not() -> None:
    found = survey(SPEC, Read(suite__yaml=SUITE))
    assert found.suite_words == {"suite.yaml": ("most",)}
    assert [one.path for one in found.loaded.problems if one.code == "unused"] == ["params.idle"]


def test_a_suite_that_names_none_is_no_fact_of_the_commit() -> None:
    assert survey(SPEC, Read(suite__yaml="name: s\nexpectations: []\n")).suite_words == {}


def test_without_params_no_suite_is_read() -> None:
    reads = Read(suite__yaml=SUITE)
    spec = SPEC.replace("params: {most: 5, depth: 3, idle: 1}\n", "").replace("{params.depth}", "")
    survey(spec, reads)
    assert reads.read == []


def test_a_suite_that_is_not_there_or_no_text_names_nothing() -> None:
    assert survey(SPEC, Read()).suite_words == {}
    reads = Read(suite__yaml=SUITE)
    reads.files["suite.yaml"] = b"\xff$PARAMETER"
    assert survey(SPEC, reads).suite_words == {}
