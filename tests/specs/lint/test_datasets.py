"""What is said of datasets that a run takes, and of what is to start a run of them."""

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
def test_a_dataset_that_a_run_takes_is_one_like_any(dataset: str) -> None:
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
            "`datasets.orders.fetch.run` names {params.sinc}, which is not there",
        ),
        (
            '  orders: {fetch: {run: "x {output}", env: {A: b}, secrets: [A]}}\n',
            "datasets.orders.fetch.env.A",
            "A is both in `env` and in `secrets` of `datasets.orders.fetch`",
        ),
    ],
)
def test_what_is_wrong_with_one_is_an_error_at_its_place(
    dataset: str, path: str, message: str
) -> None:
    assert ("error", path, message) in told(dataset)


def test_an_address_of_rows_that_a_run_takes_cannot_be_asked_for() -> None:
    steps = STEPS + "    access: {orders: uri}\n"
    message = "`datasets.orders` has no address, as a run takes it: leave `access` out"
    assert ("error", "steps.train.access.orders", message) in told(QUERY, steps=steps)


def test_a_parameter_that_only_a_fetch_is_given_is_used() -> None:
    steps = STEPS.replace(" {params.since}", "")
    fetch = '  orders: {fetch: {run: "python pull.py {params.since} {output}"}}\n'
    assert told(fetch, steps=steps) == []


@pytest.mark.parametrize(
    ("dataset", "triggers", "warns"),
    [
        (HERE, NIGHTLY, "nothing can change under this schedule"),
        (AWAY, NIGHTLY, None),
        (QUERY, NIGHTLY, None),
        (EACH_RUN, NIGHTLY, None),
        (FETCH, NIGHTLY, None),
        (FETCH.replace('}"}', '}", cache: always}'), NIGHTLY, "nothing can change under"),
        (QUERY, ON_DATA, None),
        (EACH_RUN, ON_DATA, "so it never starts a run: add `version`"),
        (FETCH, ON_DATA, "so it never starts a run: add `triggers.schedule`"),
        (QUERY, MARKED, "`marker` is for files"),
    ],
)
def test_what_would_never_start_a_run_is_warned_of_with_the_mend(
    dataset: str, triggers: str, warns: str | None
) -> None:
    found = told(dataset, triggers)
    assert [severity for severity, _, _ in found] == ["warning"] * bool(warns)
    assert all(warns and warns in message for _, _, message in found)


@pytest.mark.parametrize("cache", ["never", "{for: 24h}"])
def test_a_schedule_may_be_for_a_step_that_is_not_always_cached(cache: str) -> None:
    assert told(HERE, NIGHTLY, f"{STEPS}    cache: {cache}\n") == []


def test_files_of_a_fetch_are_looked_for() -> None:
    text = f"{HEAD}datasets:\n{FETCH}{STEPS}"
    found = check(text, "ml-pipeline.yaml", ["ml-pipeline.yaml", "train.py"]).problems
    told_ = [(one.path, one.message) for one in found]
    assert ("datasets.orders.fetch.run", "there is no file pull.py") in told_
