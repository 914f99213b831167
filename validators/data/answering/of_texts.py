"""Expectations on how texts look: what Great Expectations evaluates by pandas, by pandas itself."""

import re
from collections.abc import Sequence

from specs.figures import clip
from validators.data.answering.of_columns import Kwargs, each_value, limits
from validators.data.metrics.hits import Lengths, Like, Matches
from validators.data.metrics.measured import Measured
from validators.data.suites.outcome import ExpectationOutcome
from validators.data.values.common_types import is_text
from validators.data.values.literals import Unfit, number_of


def match_regex(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    return each_value(of, kwargs, _matches(kwargs, [kwargs["regex"]]))


def not_match_regex(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    return each_value(of, kwargs, _matches(kwargs, [kwargs["regex"]]), against=True)


def match_regex_list(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    every = kwargs.get("match_on") == "all"
    return each_value(of, kwargs, _matches(kwargs, kwargs["regex_list"], every=every))


def not_match_regex_list(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    return each_value(of, kwargs, _matches(kwargs, kwargs["regex_list"]), against=True)


def _matches(kwargs: Kwargs, patterns: Sequence[str], *, every: bool = False) -> Matches:
    return Matches(kwargs["column"], tuple(patterns), every)


def match_like(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    return each_value(of, kwargs, _like(of, kwargs, [kwargs["like_pattern"]]))


def not_match_like(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    return each_value(of, kwargs, _like(of, kwargs, [kwargs["like_pattern"]]), against=True)


def match_like_list(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    every = kwargs.get("match_on") == "all"
    return each_value(of, kwargs, _like(of, kwargs, kwargs["like_pattern_list"], every=every))


def not_match_like_list(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    return each_value(of, kwargs, _like(of, kwargs, kwargs["like_pattern_list"]), against=True)


def _like(of: Measured, kwargs: Kwargs, patterns: Sequence[str], *, every: bool = False) -> Like:
    column = kwargs["column"]
    if not is_text(of.kinds[column]):
        raise Unfit("SQL's patterns are for texts")
    escape = kwargs.get("escape") or None
    return Like(column, tuple(like_regex(one, escape) for one in patterns), every)


def like_regex(pattern: str, escape: str | None) -> str:
    """The regular expression of one of SQL's patterns: `%` is any text, `_` any character, and what
    follows `escape` is itself. Raises `Unfit` if nothing follows it."""
    parts, rest = [], iter(pattern)
    for character in rest:
        if character == escape:
            literal = next(rest, None)
            if literal is None:
                raise Unfit(f"nothing follows the `escape` at the end of `{clip(pattern)}`")
            parts.append(re.escape(literal))
        else:
            parts.append({"%": ".*", "_": "."}.get(character) or re.escape(character))
    return rf"(?s)\A{''.join(parts)}\z"


def lengths_between(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    strict = [bool(kwargs.get(key)) for key in ("strict_min", "strict_max")]
    return each_value(of, kwargs, Lengths(kwargs["column"], *limits(kwargs), *strict))


def lengths_equal(of: Measured, kwargs: Kwargs) -> ExpectationOutcome:
    length = number_of(kwargs["value"])
    rule = Lengths(kwargs["column"], length, length, strict_low=False, strict_high=False)
    return each_value(of, kwargs, rule)
