"""Lint of a whole spec."""

import pytest

from specs.lint.check import check
from specs.loading.problems import Problem
from tests.specs.samples import FILES, FLIGHT_DELAY, SMALLEST

FILE = "ml-pipeline.yaml"
BESIDE = ("evaluate.py", "expectations.yaml", "serve.py", "train.py")


def only(text: str, files: tuple[str, ...] | None = None) -> Problem:
    """The only problem of a spec."""
    found = check(text, FILE, files).problems
    assert len(found) == 1, found
    return found[0]


def edit(*changes: tuple[str, str], more: str = "") -> str:
    """The smallest spec with some texts replaced; each text must exist."""
    text = SMALLEST
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text + more


@pytest.mark.parametrize(("text", "files"), [(FLIGHT_DELAY, FILES), (SMALLEST, BESIDE)])
def test_a_good_spec_has_no_problem(text: str, files: tuple[str, ...]) -> None:
    loaded = check(text, FILE, files)
    assert loaded.problems == ()
    assert loaded.pipeline is not None


def test_a_file_name_that_is_not_utf_8_is_reported_at_its_reader() -> None:
    odd = ("caf\\xe9.py", "//src/b\\xe9.py")
    assert check(edit(), FILE, (*BESIDE, odd[1]), folder="team").problems == ()
    found = check(edit(), FILE, (*BESIDE, *odd), folder="team").problems
    assert {one.code for one in found} == {"file-name"}
    assert r"`caf\xe9.py` is not UTF-8: rename the file" in found[0].message


def test_a_cycle_is_shown_in_full_from_its_first_step() -> None:
    text = """
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: circle}
steps:
  a: {run: "x {inputs.i} {outputs.o}", inputs: {i: steps.b.o}, outputs: {o: a}}
  b: {run: "x {inputs.i} {outputs.o}", inputs: {i: steps.c.o}, outputs: {o: b}}
  c: {run: "x {inputs.i} {outputs.o}", inputs: {i: steps.a.o}, outputs: {o: c}}
  d: {run: "x {inputs.i} {outputs.o}", inputs: {i: steps.d.o}, outputs: {o: d}}
  e: {run: "x {inputs.i}", inputs: {i: steps.d.o}}
"""
    circles = check(text, FILE).problems
    assert [(p.code, p.line) for p in circles] == [("cycle", 6), ("cycle", 9)]
    assert circles[0].message.endswith(("a -> b -> c -> a", "a -> c -> b -> a"))
    assert circles[1].message.endswith("d -> d")


def test_a_long_chain_of_steps_is_not_a_cycle() -> None:
    steps = "  s0: {run: 'x {outputs.o}', outputs: {o: f}}\n" + "".join(
        f"  s{i}: {{run: 'x {{inputs.i}} {{outputs.o}}', inputs: {{i: steps.s{i - 1}.o}},"
        f" outputs: {{o: f}}}}\n"
        for i in range(1, 400)
    )
    head = "apiVersion: headgate.dev/v1\nkind: MLPipeline\nmetadata: {name: chain}\nsteps:\n"
    assert check(head + steps, FILE).problems == ()


@pytest.mark.parametrize(
    ("old", "new", "near"),
    [
        ("inputs: {flights: datasets.flights}", "inputs: {flights: datasets.flight}",
         "datasets.flights"),
        ("model: steps.train.model\ngates", "model: steps.trian.model\ngates", "steps.train.model"),
        ("predictions: steps.evaluate.rows", "predictions: steps.evaluate.row",
         "steps.evaluate.rows"),
    ],
)  # fmt: skip
def test_an_unknown_reference_names_the_nearest(old: str, new: str, near: str) -> None:
    found = [p for p in check(edit((old, new)), FILE).problems if p.code == "unknown-reference"]
    assert [p.nearest for p in found] == [near]


def test_the_column_is_that_of_the_unknown_placeholder() -> None:
    problem = only(edit(("--data {inputs.flights} --out {outputs.model}",
                         "--data {inputs.flights} {params.dept} --out {outputs.model}"),
                        ("--out {outputs.rows}", "--out {outputs.rows} {params.depth}"),
                        more="params: {depth: 6}\n"))  # fmt: skip
    assert problem.code == "unknown-placeholder"
    assert problem.nearest == "{params.depth}"
    lines = SMALLEST.splitlines()
    assert problem.column == lines[problem.line - 1].index("--out") + 1


@pytest.mark.parametrize(
    ("changes", "code", "path"),
    [
        ([("--data {inputs.flights} --out {outputs.model}", "--out {outputs.model}")],
         "unused", "steps.train.inputs.flights"),
        ([("python train.py", "python train.py {model}")],
         "unknown-placeholder", "steps.train.run"),
        ([("python train.py", "python train.py '")], "run", "steps.train.run"),
        ([("python train.py", "python train.py {x")], "run", "steps.train.run"),
        ([(" --port {port}", "")], "missing-placeholder", "release.serve.run"),
        ([("--model {model} --port", "--port")], "missing-placeholder", "release.serve.run"),
        ([("{port}", "{port} {inputs.flights}")], "unknown-placeholder", "release.serve.run"),
        ([("{model: model.joblib}", "{model: model.joblib}\n    access: {flight: uri}")],
         "unknown-reference", "steps.train.access.flight"),
        ([("{model: model.joblib}", "{model: model.joblib}\n    env: {A: b}\n    secrets: [A]")],
         "duplicate", "steps.train.env.A"),
        ([("score: p}", "score: p}\n    slices: [a, b, a]")], "duplicate", "gates.model.slices[2]"),
        ([("{metric: roc_auc,", "{metric: roc_auc, slice: a,")],
         "unknown-reference", "gates.model.checks[0].slice"),
        ([("score: p}", "prediction: p}")], "missing-column", "gates.model.checks[0].metric"),
        ([("score: p}", "score: p, prediction: q}\n    task: multiclass")],
         "task", "gates.model.checks[0].metric"),
        ([("score: p}", "score: p, prediction: q}\n    task: regression")],
         "task", "gates.model.checks[0].metric"),
        ([("score: p}", "score: p}\n    task: multiclass"),
          ("metric: roc_auc", "metric: accuracy")], "missing-column", "gates.model.task"),
        ([("score: p}", "prediction: p}\n    task: regression\n    positive: 1"),
          ("metric: roc_auc", "metric: r2")], "task", "gates.model.positive"),
        ([("score: p}", "prediction: p}\n    positive: 1"), ("metric: roc_auc", "metric: r2")],
         "task", "gates.model.checks[0].metric"),
        ([("score: p}", "score: p, prediction: q}"),
          ("[{metric: roc_auc,", "[{metric: r2, at_least: 0}, {metric: roc_auc,")],
         "task", "gates.model.checks[1].metric"),
        ([("not_worse_than_baseline_by: 0.005", "at_most: 0.9")],
         "reversed-limit", "gates.model.checks[0]"),
        ([("not_worse_than_baseline_by: 0.005", "at_least: 0.9, severity: warn")],
         "no-effect", "gates.model.checks"),
    ],
)  # fmt: skip
def test_each_mistake_of_meaning_is_one_problem(
    changes: list[tuple[str, str]], code: str, path: str
) -> None:
    problem = only(edit(*changes))
    assert (problem.code, problem.path) == (code, path)


CANARY = "  production: {{canary: {{{}}}}}\n"


@pytest.mark.parametrize(
    ("canary", "code", "words"),
    [
        ("signals: {errors: {counts: [5xx, 5xx]}}", "duplicate", "`5xx` is listed twice"),
        ("steps: [25%, 5%]", "weight", "5% after 25%"),
        ("steps: [5%, 5%]", "weight", "5% after 5%"),
        ("steps: [0%, 5%]", "weight", "0% of the traffic"),
        ("steps: [5%, 100%]", "weight", "100% of the traffic"),
        ("deadline: 1m", "deadline", "shorter than the minimum bake"),
        ("minimum_bake: 3h", "deadline", "shorter than the minimum bake"),
    ],
)
def test_a_canary_that_cannot_work_is_an_error(canary: str, code: str, words: str) -> None:
    problem = only(SMALLEST + CANARY.format(canary))
    assert (problem.severity, problem.code) == ("error", code)
    assert words in problem.message
    assert problem.line == len(SMALLEST.splitlines()) + 1


def test_a_status_that_its_class_already_counts_is_a_warning() -> None:
    problem = only(SMALLEST + CANARY.format("signals: {errors: {counts: [503, 5xx]}}"))
    assert (problem.severity, problem.code) == ("warning", "no-effect")
    assert "`503` is one of `5xx`" in problem.message


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ("[5xx, 2xx]", "the status of a failed request, which 2xx is not"),
        ("[timeout]", "a class of statuses (3xx, 4xx, 5xx), one status such as 422, or no_answer"),
        ("[]", "at least one"),
        ("5xx", "a list"),
    ],
)
def test_an_invalid_status_among_errors_gets_the_valid_ones(counts: str, expected: str) -> None:
    problem = only(SMALLEST + CANARY.format(f"signals: {{errors: {{counts: {counts}}}}}"))
    assert (problem.severity, problem.expected) == ("error", expected)
    assert "signals.errors.counts" in problem.message


def test_signals_without_errors_and_latencies_are_an_error() -> None:
    problem = only(SMALLEST + CANARY.format("signals: {refusals: {not_worse_by: 2%}}"))
    assert problem.expected is not None
    assert "errors and the latencies" in problem.expected


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ("triggers: {data: {datasets: [flight]}}", "unknown-reference"),
        ("triggers: {data: {datasets: [flights, flights]}}", "duplicate"),
        ("triggers: {data: {datasets: [flights], quiet: 1m, marker: _SUCCESS}}", "no-effect"),
        ("triggers: {schedule: {cron: '0 4 * *'}}", "cron"),
        ("triggers: {schedule: {cron: '*/90 * * * *'}}", "cron"),
        ("triggers: {schedule: {cron: '0 0 31 2 *'}}", "cron"),
        ("triggers: {schedule: {cron: '0 4 * * MON', timezone: Mars/Base}}", "timezone"),
        ("triggers: {schedule: {cron: '0 4 * * MON', timezone: ../../etc/passwd}}", "timezone"),
        ("params: {depth: 6}", "unused"),
        ("notify: [{to: 'https://x/$TOKEN'}]", "secret"),
        ("notify: [{to: 'mailto://me:hunter2@example.org'}]", "secret"),
        ("notify: [{to: '${A}'}, {to: '${A}'}]", "duplicate"),
    ],
)
def test_each_mistake_around_the_steps_is_one_problem(more: str, code: str) -> None:
    assert only(f"{SMALLEST}{more}\n").code == code


def test_a_password_can_be_a_secret() -> None:
    assert (
        check(SMALLEST + "notify: [{to: 'mailto://me:${PW}@example.org'}]\n", FILE).problems == ()
    )


def test_a_baseline_that_cannot_be_evaluated_is_an_error() -> None:
    problem = only(edit(
        ("--model {inputs.model} --data {inputs.flights} --out {outputs.rows}",
         "--data {inputs.flights} --out {outputs.rows}"),
        ("    inputs: {model: steps.train.model, flights: datasets.flights}\n",
         "    inputs: {flights: datasets.flights}\n"),
    ))  # fmt: skip
    assert problem.code == "baseline"
    assert "does not read `steps.train.model`" in problem.message


def test_a_release_without_a_model_or_a_gate_is_reported() -> None:
    head, _, rest = SMALLEST.partition("model: steps.train.model\n")
    release = rest[rest.index("release:") :]
    found = check(head + release, FILE).problems
    assert [(p.severity, p.code) for p in found] == [
        ("error", "missing-key"),
        ("warning", "no-gate"),
    ]


SUITE = "expectations: expectations.yaml"


@pytest.mark.parametrize(
    "setting", ["types: {zip: string}", "columns: {zip: {examples: true}}", "engine: spark"]
)
def test_what_is_for_the_suite_has_no_effect_without_one(setting: str) -> None:
    problem = only(edit((SUITE, setting)))
    assert (problem.code, problem.severity) == ("no-effect", "warning")
    assert problem.path == f"datasets.flights.{setting.partition(':')[0]}"


def test_examples_are_never_shown_of_what_spark_judges() -> None:
    shows = f"{SUITE}, engine: spark, columns: {{zip: {{examples: true}}}}"
    problem = only(edit((SUITE, shows)))
    assert (problem.path, problem.severity) == ("datasets.flights.columns", "warning")
    assert "no examples are shown" in problem.message


@pytest.mark.parametrize("nulls", ["[NA]", "[NA, n/a]"])
def test_nulls_without_the_empty_field_are_a_warning(nulls: str) -> None:
    problem = only(edit((SUITE, f"{SUITE}, nulls: {nulls}")))
    assert (problem.path, problem.severity) == ("datasets.flights.nulls", "warning")


def test_csv_of_rows_that_are_never_written_as_such_is_a_warning() -> None:
    query = 'query: {url: "${SHOP}", sql: SELECT 1, version: SELECT 1}'
    text = edit(('uri: "data/*.parquet"', query), (SUITE, f"{SUITE}, csv: {{quote: null}}"))
    problem = only(text)
    assert (problem.path, problem.severity) == ("datasets.flights.csv", "warning")
    assert "the rows of a query are stored as Parquet" in problem.message


@pytest.mark.parametrize("nulls", ["[]", "['', NA]"])
def test_no_nulls_or_additional_nulls_are_fine(nulls: str) -> None:
    assert check(edit((SUITE, f"{SUITE}, nulls: {nulls}")), FILE).problems == ()


LAST_GOOD = "on_failure: use_last_good"


def test_the_last_good_version_of_data_in_the_repository_is_a_commit_to_revert() -> None:
    problem = only(edit((SUITE, f"{SUITE}, {LAST_GOOD}")))
    assert (problem.code, problem.path) == ("no-earlier-version", "datasets.flights.on_failure")
    assert "revert the commit" in problem.message
    outside = edit((SUITE, f"{SUITE}, {LAST_GOOD}"), ("data/*.parquet", "s3://lake/*.parquet"))
    assert check(outside, FILE).problems == ()


def test_without_a_suite_nothing_fails_so_that_a_last_good_version_is_of_no_use() -> None:
    problem = only(edit((SUITE, LAST_GOOD), ("data/*.parquet", "s3://lake/*.parquet")))
    assert (problem.code, problem.severity) == ("no-effect", "warning")


def test_what_a_command_fetches_has_no_earlier_version() -> None:
    fetched = edit(
        ('uri: "data/*.parquet"', 'fetch: {run: "get {output}"}'),
        (SUITE, f"{SUITE}, {LAST_GOOD}"),
    )
    found = check(fetched, FILE).problems
    assert any("no earlier version to read" in (one.expected or "") for one in found)


def test_a_missing_file_gets_the_nearest_name() -> None:
    files = ("train.py", "evaluate.py", "serve.py", "expectation.yaml")
    problem = only(SMALLEST, files)
    assert (problem.code, problem.nearest) == ("missing-file", "expectation.yaml")


@pytest.mark.parametrize(
    ("changes", "code", "severity"),
    [
        ([("python train.py", "python trian.py")], "missing-file", "warning"),
        ([("    run: python train.py", "    reads: [train.py, lib/**]\n    run: python train.py")],
         "missing-file", "error"),
        ([("    run: python train.py", "    reads: [evaluate.py]\n    run: python train.py")],
         "unread-script", "warning"),
        ([("metadata:", "environment: {requirements: requirements.txt}\nmetadata:")],
         "missing-file", "error"),
        ([("metadata:", "triggers: {commits: {paths: [nothing/**]}}\nmetadata:")],
         "no-effect", "warning"),
        ([("release:", "release:\n  staging: {smoke: [{post: /predict, body: smoke.json}]}")],
         "missing-file", "error"),
    ],
)  # fmt: skip
def test_each_mistake_with_files_is_one_problem(
    changes: list[tuple[str, str]], code: str, severity: str
) -> None:
    problem = only(edit(*changes), BESIDE)
    assert (problem.code, problem.severity) == (code, severity)


def test_a_step_with_a_mistake_can_still_be_referred_to() -> None:
    problem = only(edit(("    outputs: {model: model.joblib}", "    outputs: {model: 3}")))
    assert problem.path == "steps.train.outputs.model"


def test_warnings_leave_the_pipeline_usable() -> None:
    loaded = check(SMALLEST + "params: {depth: 6}\n", FILE)
    assert [problem.severity for problem in loaded.problems] == ["warning"]
    assert loaded.pipeline is not None


PINNED = "own@sha256:" + 64 * "0"


@pytest.mark.parametrize(
    ("change", "code", "severity", "words"),
    [
        ("environment: {executor: kubernetes}", "no-image", "error", "needs an image: add `image`"),
        ("environment: {executor: kubernetes, build: .}", "build-on-cluster", "error", "push"),
        (
            "environment: {executor: kubernetes, image: 'python:3.12'}",
            "unpinned-image",
            "warning",
            "pin it",
        ),
        ("environment: {profile: gpu}", "no-effect", "warning", "unless `executor` is kubernetes"),
        ("environment: {queue: team}", "no-effect", "warning", "unless `executor` is kubernetes"),
        ("environment: {resources: {gpu: 1}}", "no-effect", "warning", "`gpu` has no effect"),
        ("environment: {executor: docker}", "no-image", "error", "add `image`, or `build`"),
        ("environment: {image: 'python:3.12'}", "unpinned-image", "warning", "pin it"),
        (f"environment: {{image: '{PINNED}', build: .}}", "two-images", "error", "remove one"),
        ("environment: {build: docker}", "missing-file", "error", "docker/Dockerfile"),
        (f"environment: {{executor: local, image: '{PINNED}'}}", "no-effect", "warning", "local"),
        (f"environment: {{python: '3.12', image: '{PINNED}'}}", "no-effect", "warning", "install"),
    ],
)
def test_a_problem_with_an_image_comes_with_its_fix(
    change: str, code: str, severity: str, words: str
) -> None:
    files = (*BESIDE, "Dockerfile")
    told = ("{port}", "{port} --host {host}")
    problem = only(edit(("metadata:", f"{change}\nmetadata:"), told), files)
    assert (problem.code, problem.severity) == (code, severity)
    assert words in problem.message


def test_a_server_in_a_container_needs_its_host() -> None:
    problem = only(edit(("metadata:", f"environment: {{image: '{PINNED}'}}\nmetadata:")), BESIDE)
    assert (problem.code, problem.severity) == ("missing-placeholder", "warning")
    assert "lacks {host}" in problem.message


def test_only_containers_have_to_ask_for_the_network() -> None:
    step = "    network: true\n    run: python train.py"
    problem = only(edit(("    run: python train.py", step)), BESIDE)
    assert (problem.code, problem.severity) == ("no-effect", "warning")
    assert only(edit(("    run: python train.py", f"    image: own:1\n{step}")), BESIDE).code == (
        "unpinned-image"
    )


@pytest.mark.parametrize("key", ["image: own:1", "build: ."])
def test_the_image_of_a_step_replaces_that_of_the_environment(key: str) -> None:
    text = edit(
        ("metadata:", f"environment: {{image: '{PINNED}'}}\nmetadata:"),
        ("    run: python train.py", f"    {key}\n    run: python train.py"),
    )
    pipeline = check(text, FILE).pipeline
    assert pipeline is not None
    name, folder = pipeline.image_of("train"), pipeline.build_of("train")
    assert f"image: {name}" == key if name else f"build: {folder}" == key
    assert pipeline.executor_of("train") == "docker"
    assert (pipeline.image_of("evaluate"), pipeline.build_of("evaluate")) == (PINNED, None)
    assert (pipeline.image_of(None), pipeline.executor_of(None)) == (PINNED, "docker")


def test_the_local_executor_is_fine() -> None:
    assert check(edit(more="environment: {executor: local}\n"), FILE).problems == ()


@pytest.mark.parametrize(
    ("released", "is_wrong"),
    [("steps.train.model", False), ("steps.package.model", True)],
)
def test_the_released_model_has_to_be_the_judged_one(released: str, is_wrong: bool) -> None:
    text = f"""\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {{name: toy}}
steps:
  train: {{run: "train {{outputs.model}}", outputs: {{model: model.json}}}}
  package:
    run: package {{inputs.model}} {{outputs.model}}
    inputs: {{model: steps.train.model}}
    outputs: {{model: model.json}}
  score:
    run: score {{inputs.model}} {{outputs.rows}}
    inputs: {{model: steps.train.model}}
    outputs: {{rows: rows.csv}}
model: {released}
gates:
  model:
    predictions: steps.score.rows
    columns: {{key: id, label: y, score: p}}
    checks: [{{metric: roc_auc, at_least: 0.6}}]
"""
    found = [
        one.code for one in check(text, "ml-pipeline.yaml").problems if one.severity == "error"
    ]
    assert found == ["another-model"] * is_wrong


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (
            "prediction: p}\n    task: binary",
            "r2 measures regression, but the task is binary classification",
        ),
        (
            "prediction: p}\n    positive: 1",
            "r2 measures regression, but `positive` makes the task binary classification",
        ),
    ],
)
def test_a_metric_of_another_task_names_what_sets_the_task(columns: str, words: str) -> None:
    assert only(edit(("score: p}", columns), ("roc_auc", "r2"))).message == words


@pytest.mark.parametrize(
    ("uri", "severity", "words"),
    [
        ("data/train.csv", "error", "write `data/*.csv`"),
        ("train.py", "error", "write `*.py`"),
        ("s3://lake/flights/2013.parquet", "warning", "write `s3://lake/flights/*.parquet`"),
        ("data", None, ""),
        ("data/*.csv", None, ""),
        ("s3://lake/flights.parquet/*", None, ""),
    ],
)
def test_a_dataset_that_is_a_single_file_is_reported(
    uri: str, severity: str | None, words: str
) -> None:
    text = edit(("data/*.parquet", uri))
    found = [
        one
        for one in check(text, FILE, (*BESIDE, "data/train.csv")).problems
        if one.code == "one-file"
    ]
    assert [one.severity for one in found] == ([severity] if severity else [])
    assert all(words in one.message for one in found)


@pytest.mark.parametrize("ours", ["HEAD", "Updated upstream"])
def test_a_merge_conflict_is_a_single_problem(ours: str) -> None:
    marks = (
        f"<<<<<<< {ours}\nparams: {{a: 1}}\n||||||| base\n=======\nparams: {{a: 2}}\n>>>>>>> x\n"
    )
    lines = SMALLEST.count("\n")
    problem = only(SMALLEST + marks)
    assert (problem.code, problem.line) == ("conflict", lines + 1)
    assert f"lines {lines + 1} to {lines + 6}" in problem.message
    problem = only(SMALLEST.replace("\n", "\r\n") + marks.replace("\n", "\r\n"))
    assert (problem.code, problem.line) == ("conflict", lines + 1)
