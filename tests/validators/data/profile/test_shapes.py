"""What codes look like."""

import re

import pytest

from validators.data.profile.shapes import patterns_of


@pytest.mark.parametrize(
    ("texts", "first"),
    [
        (["EWR", "JFK"], "^[A-Z]{3}$"),
        (["AB-1", "CD-1234"], "^[A-Z]{2}-[0-9]{1,4}$"),
        (["N12345", "N123AA"], "^[A-Z0-9]{6}$"),
        (["UA1545-20130101-EWR", "9E9-20130102-JFK"], "^[A-Z0-9]{3,6}-[0-9]{8}-[A-Z]{3}$"),
        (["9f8a", "00cd"], "^[a-z0-9]{4}$"),
        (["10.0.0.1", "192.168.1.20"], r"^[0-9]{2,3}\.[0-9]{1,3}\.[0-9]\.[0-9]{1,2}$"),
        (["a1B", "Z9"], "^[A-Za-z0-9]{2,3}$"),
    ],
)
def test_codes_of_one_build_have_a_pattern(texts: list[str], first: str) -> None:
    found = patterns_of(texts)
    assert found[0] == first
    assert all(re.search(pattern, text) for pattern in found for text in texts)


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["", "A1"],
        ["Miller", "Smith"],
        ["two words", "of 2"],
        ["A1", "A-1"],
        ["Ä1"],
        ["A1\n"],
        ["A1" * 40],
        ["-".join("A1B2C3D4")],
    ],
)
def test_other_texts_have_none(texts: list[str]) -> None:
    assert patterns_of(texts) == ()


def test_only_punctuation_is_taken_over() -> None:
    (tight, loose) = patterns_of(["mail: x"]) or ("", "")
    assert (tight, loose) == ("", "")
    for pattern in patterns_of(["X9/secret7", "Y8/hidden66"]):
        assert "secret" not in pattern
