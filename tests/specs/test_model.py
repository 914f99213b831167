"""The models: the meaning of the design's sample, and that a spec is a value."""

from datetime import timedelta

import pytest
from pydantic import ValidationError

from specs.gates import AbsoluteCheck, PairedCheck
from specs.loading.load import load
from specs.model import Pipeline
from specs.references import DatasetReference, StepReference
from specs.release import ErrorSignal, LatencySignal, Serve
from tests.specs.samples import FLIGHT_DELAY, SMALLEST


def read(text: str) -> Pipeline:
    pipeline = load(text, "ml-pipeline.yaml").pipeline
    assert pipeline is not None
    return pipeline


def test_the_sample_of_the_design_means_what_it_says() -> None:
    pipeline = read(FLIGHT_DELAY)
    train = pipeline.steps["train"]
    assert pipeline.metadata.name == "flight-delay"
    assert train.timeout == timedelta(minutes=30)
    assert train.inputs == {"flights": DatasetReference("flights")}
    assert pipeline.model == StepReference("train", "model")
    assert pipeline.params_of("train") == {"max_depth": 6}
    assert pipeline.gates.model is not None
    assert pipeline.gates.model.checks == (
        AbsoluteCheck(metric="roc_auc", at_least=0.6),
        PairedCheck(metric="roc_auc", not_worse_than_baseline_by=0.005, confidence=0.95),
    )
    assert pipeline.release is not None
    canary = pipeline.release.production.canary
    assert canary.steps == (0.05, 0.25, 0.5)
    assert canary.signals.named() == {
        "errors": ErrorSignal(not_worse_by=0.005),
        "latency_p99": LatencySignal(not_worse_by=0.2),
    }
    assert pipeline.notify[0].on == ("rollback", "gate_failed", "stuck")


def test_the_smallest_useful_spec_has_about_twenty_lines_and_all_defaults() -> None:
    assert len(SMALLEST.splitlines()) <= 23
    pipeline = read(SMALLEST)
    assert pipeline.triggers.commits.enabled
    assert pipeline.triggers.pull_requests.enabled
    assert pipeline.release is not None
    production = pipeline.release.production
    assert production.approval == "automatic"
    assert production.canary.on_inconclusive == "hold"
    assert list(production.canary.signals.named()) == ["errors", "latency_p99"]
    assert production.canary.minimum_bake < production.canary.deadline


@pytest.mark.parametrize("text", [FLIGHT_DELAY, SMALLEST])
def test_a_pipeline_survives_being_stored(text: str) -> None:
    pipeline = read(text)
    assert Pipeline.model_validate_json(pipeline.model_dump_json(by_alias=True)) == pipeline
    assert Pipeline.model_validate(pipeline.model_dump(mode="json", by_alias=True)) == pipeline


def test_a_pipeline_cannot_be_changed() -> None:
    pipeline = read(SMALLEST)
    with pytest.raises(ValidationError, match="frozen"):
        pipeline.metadata.name = "other"  # type: ignore[misc]  # what the test is about


def test_a_step_overrides_the_environment_and_the_parameters() -> None:
    pipeline = read(
        SMALLEST.replace("    run: python train.py", "    executor: docker\n    image: own\n"
                         "    params: {depth: 3}\n    run: python train.py")
        + "params: {depth: 6, seed: 1}\n"
        + "environment: {executor: local, image: shared, resources: {cpu: 500m, memory: 512Mi}}\n"
    )  # fmt: skip
    assert (pipeline.image_of("train"), pipeline.image_of("evaluate")) == ("own", "shared")
    assert pipeline.params_of("train") == {"depth": 3, "seed": 1}
    assert pipeline.resources_of("train").cpu == 0.5
    assert pipeline.resources_of("train").memory == 512 * 1024 * 1024


def test_numbers_and_words_keep_their_type() -> None:
    pipeline = read(SMALLEST + "params: {a: no, b: 1, c: 1.0, d: true, e: '1'}\n")
    values = pipeline.params
    assert values == {"a": "no", "b": 1, "c": 1.0, "d": True, "e": "1"}
    assert [type(value) for value in values.values()] == [str, int, float, bool, str]


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ({}, 30),
        ({"answer_within": "5m"}, 300),
        ({"answer_within": "5s"}, 30),
        ({"answer_within": "5m", "hung_after": "10s"}, 10),
    ],
)
def test_a_server_is_not_hung_while_it_may_still_answer(said: dict[str, str], seconds: int) -> None:
    serve = Serve.model_validate({"run": "serve {model} {port}", **said})
    assert serve.patience == timedelta(seconds=seconds)


def test_a_server_has_at_least_five_seconds_before_it_counts_as_hung() -> None:
    with pytest.raises(ValidationError):
        Serve.model_validate({"run": "serve {model} {port}", "hung_after": "4s"})
