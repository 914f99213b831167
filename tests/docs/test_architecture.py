"""The page about the architecture says what the code does."""

import ast
import re

import pytest

from tests.docs.architecture import PAGE, ROOT, render

TEXT = PAGE.read_text(encoding="utf-8")
HOPS = re.findall(r"^\| \d+ \| [^|]+ \| `([^`]+)` \| `([^`]+)` \|$", TEXT, re.MULTILINE)
PAGES = TEXT + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PATHS = re.findall(r"`((?:controller|specs|validators|deployers|tests)/[\w/]+\.py)`", PAGES)


def test_what_is_made_from_the_code_is_up_to_date() -> None:
    assert render(TEXT) == TEXT, "docs/architecture.md is out of date: run `make docs`"


def test_both_traces_are_there() -> None:
    assert len(HOPS) > 30


@pytest.mark.parametrize(("path", "function"), HOPS)
def test_each_hop_of_a_trace_is_a_function_of_its_file(path: str, function: str) -> None:
    body = ast.parse((ROOT / path).read_text()).body
    for name in function.split("."):
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        found = [one for one in body if isinstance(one, kinds) and one.name == name]
        assert found, f"{path} has no {function}"
        body = found[0].body


@pytest.mark.parametrize("path", sorted({path for path in PATHS if "*" not in path}))
def test_a_file_that_is_named_is_there(path: str) -> None:
    assert (ROOT / path).is_file()


def test_a_block_of_an_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError, match="nothing"):
        render("<!-- made from the code: nothing -->\n<!-- end -->")
