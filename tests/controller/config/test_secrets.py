"""Secrets are handed to those that name them, and told to nobody."""

import pytest

from controller.config.secrets import Secrets
from specs.failures import NeedsHuman


def test_only_what_is_named_is_handed_over() -> None:
    assert Secrets({"A": "first", "B": "second"}).reveal(("B",)) == {"B": "second"}


def test_an_unknown_name_says_where_to_put_the_value() -> None:
    with pytest.raises(NeedsHuman, match="HEADGATE_SECRET_TOKEN"):
        Secrets({}).reveal(("TOKEN",))
    with pytest.raises(NeedsHuman, match="HEADGATE_SECRET_TOKEN"):
        Secrets({}).expand("https://example.org/${TOKEN}")


def test_a_secret_that_holds_another_is_hidden_whole() -> None:
    secrets = Secrets({"SHORT": "horse", "LONG": "horse-battery"})
    assert secrets.redact("a horse-battery, a horse") == "a ***, a ***"


def test_what_is_special_in_patterns_is_hidden_too() -> None:
    assert Secrets({"A": "a.b*[c"}).redact("a.b*[c but not axbb[c") == "*** but not axbb[c"


def test_values_too_short_to_be_told_from_words_stay() -> None:
    assert Secrets({"A": "on"}).redact("on and on") == "on and on"
