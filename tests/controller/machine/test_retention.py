"""What stays in the home folder, whatever its age."""

from typing import Any

import pytest

from controller.machine.core import Key
from controller.machine.pipelines.version import ModelVersion
from controller.machine.retention import (
    MARGIN,
    Stated,
    StoredReferences,
    pipeline_of,
    runs_of,
    versions_of,
    what_to_keep,
)
from controller.machine.runs.run import Progress, Run, Trigger
from controller.machine.runs.step_nodes import image_of
from specs.digests import canonical_json, digest
from specs.model import Pipeline

DAY = 86_400.0
NOW = 1000 * DAY
COMMIT = "c" * 40
SPEC = Pipeline.model_validate(
    {
        "apiVersion": "headgate.dev/v1",
        "kind": "MLPipeline",
        "metadata": {"name": "mean"},
        "steps": {"train": {"run": "train {outputs.model}", "outputs": {"model": "m"}}},
    }
)


def run(number: int, created: float, finished: float | None = None, **outputs: str) -> Run:
    return Run(
        id=f"mean-{number}",
        number=number,
        pipeline="mean",
        repository="team",
        commit=COMMIT,
        branch="main",
        folder="",
        trigger=Trigger(kind="manual", why="asked"),
        datasets={"numbers": digest("data")},
        fingerprint="",
        created=created,
        finished=finished,
        nodes={"train": Progress(outputs=outputs)},
    )


def version(number: int) -> ModelVersion:
    return ModelVersion.model_validate(
        {
            "pipeline": "mean",
            "number": number,
            "digest": digest(f"package {number}"),
            "model": digest(f"model {number}"),
            "run": f"mean-{number}",
            "source": {"repository": "team", "commit": str(number) * 40, "folder": "", "files": {}},
            "branch": "main",
            "datasets": {"numbers": digest(f"data {number}")},
            "verdicts": {},
            "reports": {"model": digest(f"report {number}")},
            "spec": SPEC,
            "created": 0.0,
        }
    )


def stated(body: dict[str, Any]) -> Stated:
    return Stated("mean", canonical_json(body).decode())


def hexadecimal(of: str) -> str:
    return digest(of).partition(":")[2]


def test_a_run_that_goes_on_keeps_its_data_its_commit_and_what_it_has_written() -> None:
    going = run(1, NOW - 5 * DAY, model=digest("model"))
    stays = what_to_keep(StoredReferences(runs=(going,)), keep=30 * DAY, now=NOW)
    assert stays.runs == {"mean-1"}
    assert stays.names >= {COMMIT, hexadecimal("data"), hexadecimal("model")}
    assert stays.before == NOW - 30 * DAY


def test_nothing_goes_that_was_used_since_the_oldest_run_that_goes_on_was_created() -> None:
    runs = (run(1, NOW - 90 * DAY), run(2, NOW - DAY))
    assert (
        what_to_keep(StoredReferences(runs=runs), keep=30 * DAY, now=NOW).before
        == NOW - 90 * DAY - MARGIN
    )
    young = what_to_keep(StoredReferences(runs=(run(2, NOW - 60.0),)), keep=3600.0, now=NOW)
    assert young.before < NOW - 3600.0, "what it looked at before it was created, too"


def test_a_version_in_an_environments_state_keeps_its_model_reports_and_code() -> None:
    environment = stated({"stable": {"version": 1, "digest": digest("package 1")}, "former": []})
    assert versions_of([environment]) == {"mean/1"}
    stored = StoredReferences(runs=(), stated=(environment,), versions=(version(1),))
    stays = what_to_keep(stored, keep=DAY, now=NOW)
    assert [one.number for one in stays.versions] == [1]
    assert "mean-1" in stays.history, "the run that made it"
    assert stays.names >= {hexadecimal("model 1"), hexadecimal("report 1"), "1" * 40}
    assert not stays.names & {hexadecimal("data 1"), hexadecimal("model 2"), "2" * 40}


@pytest.mark.parametrize(
    "body",
    [
        {"version": 2, "digest": digest("package 2"), "why": "it passed"},
        {"by": "ada", "to": 2},
        {"type": "deploy", "stable": 2, "canary": None},
        {"type": "deploy", "stable": None, "canary": 2},
    ],
)
def test_a_version_that_a_letter_or_an_owed_action_asks_for_is_kept(body: dict[str, Any]) -> None:
    assert versions_of([stated(body), stated({"rollouts": 3})]) == {"mean/2"}


def test_runs_that_letters_and_owed_actions_are_about_are_found() -> None:
    pending: list[dict[str, Any]] = [
        {"type": "report_commit", "run": "mean-1"},
        {"type": "start_attempt", "attempt": {"id": "mean-2.train.1", "run": "mean-2"}},
        {"type": "cancel_attempt", "attempt": "mean-3.train.1"},
        {"run": None},
    ]
    assert runs_of(pending) == {"mean-1", "mean-2", "mean-3"}
    stays = what_to_keep(
        StoredReferences(runs=(run(1, 0.0, 1.0, model=digest("m")),)), keep=DAY, now=NOW
    )
    assert stays.before == NOW - DAY, "it has ended: it holds up nothing"
    assert hexadecimal("m") in stays.names


def test_the_folder_that_the_image_of_a_version_is_built_from_stays_with_it() -> None:
    one = version(1)
    spec = SPEC.model_copy(
        update={"environment": SPEC.environment.model_copy(update={"build": "image"})}
    )
    files = {"image/Dockerfile": digest("a Dockerfile")}
    source = one.source.model_copy(update={"files": files})
    one = one.model_copy(update={"spec": spec, "source": source})
    _, build = image_of(spec, source, None)
    assert build is not None
    stays = what_to_keep(StoredReferences(runs=(), versions=(one,)), 30 * DAY, NOW)
    assert build.digest.removeprefix("sha256:") in stays.names


def test_the_last_runs_of_each_branch_stay_in_the_store_with_those_of_pending_work() -> None:
    pipeline = stated(
        {
            "active": {"try": "mean-9"},
            "last": {"main": {"run": "mean-7", "commit": COMMIT}},
            "passed": {"main": {"run": "mean-5", "commit": COMMIT}},
            "alerts": ["mean/run/mean-3"],
        }
    )
    ended = run(2, NOW - 90 * DAY, NOW - 90 * DAY)
    stored = StoredReferences(runs=(ended,), stated=(pipeline,))
    assert what_to_keep(stored, DAY, NOW).history == {"mean-2", "mean-5", "mean-7", "mean-9"}


@pytest.mark.parametrize(
    ("key", "pipeline"),
    [
        (Key("run", "late-flights-2-17"), "late-flights-2"),
        (Key("environment", "flights/production"), "flights"),
        (Key("pipeline", "flights"), "flights"),
        (Key("repository", "team"), ""),
        (Key("stall", "pipeline/flights"), ""),
    ],
)
def test_an_object_is_of_its_pipeline(key: Key, pipeline: str) -> None:
    assert pipeline_of(key) == pipeline
