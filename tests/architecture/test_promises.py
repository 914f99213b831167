"""That each promise of docs/security.md is held by a test that is there."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))


def test_tests_are_named() -> None:
    assert len(NAMED) > 30


@pytest.mark.parametrize(("file", "name"), NAMED, ids=[name for _, name in NAMED])
def test_the_test_that_holds_a_promise_is_there(file: str, name: str) -> None:
    module = ast.parse((ROOT / file).read_text())
    functions = ast.FunctionDef | ast.AsyncFunctionDef
    assert name in {each.name for each in ast.walk(module) if isinstance(each, functions)}


def test_what_cannot_be_done_has_a_test_and_what_can_be_says_so() -> None:
    """A line without a test is one that warns."""
    for line in TEXT.partition("## What each can")[2].splitlines():
        promise, _, held = line.strip("|").partition(" | ")
        if line.startswith("| ") and promise.strip() and not held.strip():
            assert "**can**" in promise, line
