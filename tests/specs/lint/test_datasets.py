"""Lint of datasets that a run queries or fetches, and of their triggers."""

import pytest

from specs.lint.check import check

HEAD = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: orders}
"""
STEPS = """\
params: {since: "2026-01-01"}
steps:
  train:
    run: "python train.py {inputs.orders} {params.since} {outputs.model}"
    inputs: {orders: datasets.orders}
    outputs: {model: model.bin}
"""
QUERY = '  orders: {query: {url: "${SHOP}", sql: "SELECT 1", version: "SELECT 2"}}\n'
EACH_RUN = '  orders: {query: {url: "${SHOP}", sql: "SELECT 1"}}\n'
FETCH = '  orders: {fetch: {run: "python pull.py {output}"}}\n'
HERE = "  orders: {uri: data/*.csv}\n"
AWAY = '  orders: {uri: "s3://lake/*.csv"}\n'
NIGHTLY = 'triggers: {schedule: {cron: "0 4 * * *"}}\n'
ON_DATA = "triggers: {data: {datasets: [orders]}}\n"
MARKED = "triggers: {data: {datasets: [orders], marker: DONE}}\n"


def told(dataset: str, triggers: str = "", steps: str = STEPS) -> list[tuple[str, str, str]]:
    found = check(f"{HEAD}{triggers}datasets:\n{dataset}{steps}", "ml-pipeline.yaml").problems
    return [(one.severity, one.path, one.message) for one in found]


@pytest.mark.parametrize("dataset", [QUERY, EACH_RUN, FETCH])
def test_a_queried_or_fetched_dataset_has_no_problem(dataset: str) -> None:
    assert told(dataset) == []


@pytest.mark.parametrize(
    ("dataset", "path", "message"),
    [
        ("  orders: {}\n", "datasets.orders", "wrong value for `datasets.orders`"),
        (
            '  orders: {uri: a.csv, fetch: {run: "x {output}"}}\n',
            "datasets.orders",
            "wrong value for `datasets.orders`",
        ),
        (
            '  orders: {query: {url: SHOP, sql: "SELECT 1"}}\n',
            "datasets.orders.query.url",
            "wrong value for `datasets.orders.query.url`",
        ),
        (
            '  orders: {fetch: {run: "python pull.py"}}\n',
            "datasets.orders.fetch.run",
            "`datasets.orders.fetch.run` lacks {output}: the command is not told where to write",
        ),
        (
            '  orders: {fetch: {run: "python pull.py {output} {params.sinc}"}}\n',
            "datasets.orders.fetch.run",
            "`datasets.orders.fetch.run` has the unknown placeholder {params.sinc}",
        ),
        (
            '  orders: {fetch: {run: "x {output}", env: {A: b}, secrets: [A]}}\n',
            "datasets.orders.fetch.env.A",
            "A is both in `env` and in `secrets` of `datasets.orders.fetch`",
        ),
    ],
)
def test_a_mistake_in_a_query_or_fetch_is_an_error_at_its_place(
    dataset: str, path: str, message: str
) -> None:
    assert ("error", path, message) in told(dataset)


def test_queried_rows_have_no_uri_to_ask_for() -> None:
    steps = STEPS + "    access: {orders: uri}\n"
    message = "`datasets.orders` has no URI because the run fetches it: leave `access` out"
    assert ("error", "steps.train.access.orders", message) in told(QUERY, steps=steps)


def test_a_parameter_that_only_a_fetch_uses_is_used() -> None:
    steps = STEPS.replace(" {params.since}", "")
    fetch = '  orders: {fetch: {run: "python pull.py {params.since} {output}"}}\n'
    assert told(fetch, steps=steps) == []


@pytest.mark.parametrize(
    ("dataset", "triggers", "warns"),
    [
        (HERE, NIGHTLY, "this schedule never starts a run"),
        (AWAY, NIGHTLY, None),
        (QUERY, NIGHTLY, None),
        (EACH_RUN, NIGHTLY, None),
        (FETCH, NIGHTLY, None),
        (FETCH.replace('}"}', '}", cache: always}'), NIGHTLY, "this schedule never starts a run"),
        (QUERY, ON_DATA, None),
        (EACH_RUN, ON_DATA, "so it never starts a run: add `version`"),
        (FETCH, ON_DATA, "so it never starts a run: add `triggers.schedule`"),
        (QUERY, MARKED, "`marker` is for files"),
    ],
)
def test_a_trigger_that_never_starts_a_run_is_a_warning_with_the_fix(
    dataset: str, triggers: str, warns: str | None
) -> None:
    found = told(dataset, triggers)
    assert [severity for severity, _, _ in found] == ["warning"] * bool(warns)
    assert all(warns and warns in message for _, _, message in found)


@pytest.mark.parametrize("cache", ["never", "{for: 24h}"])
def test_a_schedule_is_fine_with_a_step_that_is_not_always_cached(cache: str) -> None:
    assert told(HERE, NIGHTLY, f"{STEPS}    cache: {cache}\n") == []


def test_the_files_of_a_fetch_have_to_exist() -> None:
    text = f"{HEAD}datasets:\n{FETCH}{STEPS}"
    found = check(text, "ml-pipeline.yaml", ["ml-pipeline.yaml", "train.py"]).problems
    told_ = [(one.path, one.message) for one in found]
    assert ("datasets.orders.fetch.run", "there is no file pull.py") in told_
