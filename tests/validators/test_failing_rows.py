"""What a report says of the rows that fail: the objects that they are in, and values if it may."""

import json
from collections.abc import Callable, Mapping

import pytest
from pydantic import ValidationError

from controller.config.secrets import Secrets
from validators.render import as_html, as_json, junit, markdown, terminal
from validators.report import (
    LONGEST_EXAMPLE,
    MOST_OBJECTS,
    Check,
    Examples,
    FailingObject,
    FailingObjects,
    Report,
)
from validators.verdict import Verdict

TEXTS: Mapping[str, Callable[[Report, str], str]] = {
    "markdown": markdown.render,
    "terminal": terminal.render,
    "html": as_html.render,
    "junit": junit.render,
    "json": as_json.render,
}


def in_objects(*failing: int) -> FailingObjects | None:
    return FailingObjects.of(
        FailingObject(key=f"{at:02}.csv", failing=count, rows=1000)
        for at, count in enumerate(failing)
        if count
    )


def report(**facts: object) -> Report:
    check = Check(name="no nulls", verdict=Verdict.FAIL, message="Some are null.")
    return Report(gate="data", subject="rows", checks=(check.model_copy(update=facts),))


def test_the_objects_with_the_most_failing_rows_come_first_and_the_others_are_counted() -> None:
    found = in_objects(*range(MOST_OBJECTS + 3))
    assert found is not None
    assert [one.failing for one in found.worst] == list(range(12, 2, -1))
    assert found.more == 2


def test_objects_with_as_many_are_in_the_order_of_their_keys() -> None:
    found = in_objects(5, 7, 5, 0)
    assert found is not None
    assert [one.key for one in found.worst] == ["01.csv", "00.csv", "02.csv"]
    assert in_objects(0, 0) is None


def test_a_report_cannot_hold_more_or_longer_examples_than_it_may() -> None:
    with pytest.raises(ValidationError):
        Examples(values=("1", "2", "3", "4", "5", "6"))
    with pytest.raises(ValidationError):
        Examples(values=("x" * (LONGEST_EXAMPLE + 1),))


def test_a_value_that_is_too_long_is_counted_and_no_part_of_it_is_shown() -> None:
    token = "token-" + "t" * LONGEST_EXAMPLE
    found = Examples.of([token, 7, 7.5, None, "a", "a"])
    assert found == Examples(values=("7", "7.5", "None", "a"), hidden=1)
    for render in TEXTS.values():
        assert "token" not in render(report(examples=found), "rows")
    assert Examples.of([]) is None


@pytest.mark.parametrize("form", TEXTS)
def test_every_form_names_the_objects_with_their_counts(form: str) -> None:
    text = TEXTS[form](report(objects=in_objects(0, 31)), "rows")
    assert "01.csv" in text
    if form != "json":
        assert "31 of 1,000 (3.1 %)" in text


@pytest.mark.parametrize("form", TEXTS)
def test_a_secret_among_the_examples_is_redacted(form: str) -> None:
    secrets = Secrets({"TOKEN": 'hunter"2&'})
    shown = secrets.redacted(report(examples=Examples.of(['hunter"2&', "fine"])))
    text = TEXTS[form](shown, "rows")
    assert "fine" in text
    assert "hunter" not in text


@pytest.mark.parametrize("form", TEXTS)
def test_a_hostile_key_or_value_is_text_in_every_form(form: str) -> None:
    key, value = "<script>@all.csv", "<img src=x>"
    objects = FailingObjects.of([FailingObject(key=key, failing=1, rows=0)])
    text = TEXTS[form](report(objects=objects, examples=Examples.of([value])), "rows")
    if form in ("html", "junit", "markdown"):
        assert "<script" not in text.replace(f"`{key}`", "")
        assert "<img" not in text.replace(f'`"{value}"`', "")


def test_a_report_of_an_older_controller_names_no_objects() -> None:
    stored = json.loads(report().model_dump_json())
    for name in ("objects", "examples"):
        del stored["checks"][0][name]
    del stored["accepted"]
    assert Report.model_validate(stored) == report()
