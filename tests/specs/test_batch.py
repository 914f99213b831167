"""`release.batch`, and settings that need a server."""

import pytest

from specs.lint.check import check
from specs.loading.load import load
from specs.loading.problems import Problem
from tests.specs.samples import SMALLEST

HEAD = SMALLEST[: SMALLEST.index("release:")]
RUN = "python score.py --model {model} --data {inputs.flights} --out {outputs.scores}"
WHOLE = (
    f'{{run: "{RUN}", inputs: {{flights: datasets.flights}}, outputs: {{scores: scores.csv}}, '
    "schedule: {cron: '0 3 * * *', timezone: Europe/Berlin}, timeout: 2h, reads: [score.py]}"
)


def problems(batch: str, more: str = "") -> list[Problem]:
    text = f"{HEAD}release:\n  batch: {batch}\n{more}"
    found = check(text, "ml-pipeline.yaml").problems
    return [one for one in found if one.path and "release" in one.path]


@pytest.mark.parametrize(
    "batch", ["{}", WHOLE, '{run: "python score.py {model} {environment} {params.depth}"}']
)
def test_a_pointer_and_a_command_are_fine(batch: str) -> None:
    text = f"{HEAD}params: {{depth: 3}}\nrelease:\n  batch: {batch}\n"
    pipeline = load(text, "ml-pipeline.yaml").pipeline
    assert pipeline is not None
    errors = [p for p in check(text, "ml-pipeline.yaml").problems if p.severity == "error"]
    assert errors == []
    # The form that is stored with a model version.
    assert type(pipeline).model_validate(pipeline.model_dump(mode="json", by_alias=True)) == (
        pipeline
    )


@pytest.mark.parametrize(
    ("more", "path", "why"),
    [
        (
            "  staging: {smoke: [{get: /healthz}]}\n",
            "release.staging.smoke",
            "no server for requests",
        ),
        ("  production: {canary: {steps: [5%]}}\n", "release.production.canary", "no traffic"),
        ("  production: {strategy: direct}\n", "release.production.strategy", "no traffic"),
        (
            "  production: {blue_green: {keep_for: 1h}}\n",
            "release.production.blue_green",
            "no traffic",
        ),
    ],
)
def test_settings_that_need_a_server_are_rejected_with_the_reason(
    more: str, path: str, why: str
) -> None:
    found = [one for one in problems(WHOLE, more) if one.path == path]
    assert [one.severity for one in found] == ["error"] * len(found)
    assert any(why in one.message for one in found)


@pytest.mark.parametrize(
    ("batch", "code"),
    [
        ('{run: "python score.py"}', "missing-placeholder"),
        ('{run: "python score.py {model} {port}"}', "unknown-placeholder"),
        (
            '{run: "python score.py {model} {inputs.x}", inputs: {x: datasets.y}}',
            "unknown-reference",
        ),
        ('{run: "s {model} {outputs.x}"}', "unknown-placeholder"),
        ('{run: "s {model}", schedule: {cron: "61 * * * *"}}', "cron"),
        ('{run: "s {model}", outputs: {x: x.csv}}', "unused"),
        ('{run: "s {model}", env: {A: b}, secrets: [A]}', "duplicate"),
    ],
)
def test_a_command_that_cannot_work_is_reported(batch: str, code: str) -> None:
    assert code in [one.code for one in problems(batch)]


@pytest.mark.parametrize(
    ("release", "words"),
    [
        ("{batch: {}, serve: {run: 'x {model} {port}'}}", "one of serve and batch"),
        ("{production: {approval: automatic}}", "one of serve and batch"),
        ("{batch: {timeout: 1h}}", None),
        ("{batch: {timeout: 2h}}", "without a command"),
        (
            "{batch: {run: 'x {model}', inputs: {m: steps.train.model}}}",
            "a dataset, such as datasets.NAME",
        ),
    ],
)
def test_a_model_is_used_in_exactly_one_way(release: str, words: str | None) -> None:
    found = check(f"{HEAD}release: {release}\n", "ml-pipeline.yaml").problems
    said = " ".join(f"{one.message} {one.expected or ''}" for one in found)
    if words is None:
        assert not [one for one in found if one.severity == "error"]
    else:
        assert words in said
