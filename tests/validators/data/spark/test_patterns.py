"""Regular expressions mean on Spark what they mean in Python, or are refused."""

import pytest

from validators.data.spark.patterns import any_of, in_java
from validators.data.values.literals import Unfit


@pytest.mark.parametrize(
    ("python", "java"),
    [
        ("", ""),
        ("^[A-Z]{2}$", r"\A[A-Z]{2}(?=\n?\z)"),
        (r"a.b", r"a[^\n]b"),
        (r"\d+?\.\d{2,}", r"[\p{Nd}]+?\.[\p{Nd}]{2,}"),
        (r"[\w-]", r"[\p{L}\p{N}_-]"),
        (r"[^]&[]", r"[^\]\&\[]"),
        (r"\D", r"[^\p{Nd}]"),
        (r"(?:a|(b))*", r"(?:a|(b))*"),
        (r"\v\-", r"\x0b\-"),
    ],
)
def test_what_both_can_say_is_said_in_java(python: str, java: str) -> None:
    assert in_java(python) == java


@pytest.mark.parametrize(
    "python",
    [
        r"\bword",
        r"(?i)a",
        r"(?P<a>b)",
        r"a(?=b)",
        r"(a)\1",
        r"a++",
        r"a{,3}",
        r"a{x",
        r"[\D]",
        r"\Z",
    ],
)
def test_what_java_may_take_otherwise_is_refused(python: str) -> None:
    with pytest.raises(Unfit, match="Spark's regular expressions are Java's"):
        in_java(python)


def test_what_is_no_pattern_is_said() -> None:
    with pytest.raises(Unfit, match="is not a regular expression"):
        in_java("(")


def test_patterns_that_are_joined_keep_their_meaning() -> None:
    assert any_of(["a|b", "c"]) == ["(?:a|b)", "(?:c)"]
