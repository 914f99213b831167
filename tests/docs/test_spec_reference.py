"""docs/spec.md: generated from the models, with a valid example of every key."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from specs.docs.reference import examples, parts, render
from specs.loading.load import load

PAGE = Path(__file__).parents[2] / "docs" / "spec.md"
TITLES = sorted({part.title for part in parts()})
FRAME = examples()[""]


def read(text: str) -> Any:
    return YAML(typ="safe").load(text)


def shown(value: Any, path: tuple[str, ...]) -> Iterator[set[str]]:
    """The keys of each mapping in an example at the place of a part."""
    if not path:
        yield set(value)
        return
    first, *rest = path
    if first == "[]":
        inner = value
    elif first == "NAME":
        inner = value.values()
    else:
        inner = [value[first]] if first in value else []
    for each in inner:
        yield from shown(each, tuple(rest))


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == render(), "docs/spec.md is out of date: run `make docs`"


def test_there_is_an_example_of_each_part_and_no_other() -> None:
    assert sorted(examples()) == TITLES


@pytest.mark.parametrize("title", TITLES)
def test_an_example_is_valid(title: str) -> None:
    top = "".join(
        f"{key}: {value}\n"
        for key, value in read(FRAME).items()
        if key not in read(examples()[title])
    )
    assert load(top + examples()[title], "example.yaml").problems == ()


@pytest.mark.parametrize("title", TITLES)
def test_an_example_shows_every_key_of_its_part(title: str) -> None:
    alike = [part for part in parts() if part.title == title]
    known = {key.name for part in alike for key in part.keys}
    text = examples()[title]
    commented = {line.strip("# ").partition(":")[0] for line in text.splitlines() if "#   " in line}
    assert known - commented <= set().union(*shown(read(text), alike[0].path))


def test_every_key_has_a_meaning() -> None:
    silent = [
        f"{part.title}.{key.name}" for part in parts() for key in part.keys if not key.meaning
    ]
    assert silent == []
