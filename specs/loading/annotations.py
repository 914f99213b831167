"""Workflow commands: lines of output that GitHub Actions shows as annotations of files.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

MOST = 10
"""The most annotations of each level that GitHub shows for a step; it drops the rest silently."""


class WorkflowAnnotation(NamedTuple):
    """One annotation."""

    level: Literal["error", "warning"]
    text: str
    properties: Mapping[str, str]
    """`file`, `line`, `col` and `title`, as far as known."""


def commands(shown: Sequence[WorkflowAnnotation], whole: str) -> str:
    """The lines, errors first. If there are more than GitHub shows, the last one says how many are
    missing and that `whole` has them all."""
    return "".join(
        _line(one)
        for level in ("error", "warning")
        for one in _first([each for each in shown if each.level == level], whole)
    )


def _first(shown: Sequence[WorkflowAnnotation], whole: str) -> Iterator[WorkflowAnnotation]:
    if len(shown) <= MOST:
        yield from shown
        return
    yield from shown[: MOST - 1]
    left = len(shown) - MOST + 1
    yield WorkflowAnnotation(
        shown[0].level, f"{left} more are not shown here: see {whole}", {"title": "more"}
    )


def _line(one: WorkflowAnnotation) -> str:
    named = ",".join(f"{name}={_property(value)}" for name, value in one.properties.items())
    return f"::{one.level} {named}::{_data(one.text)}\n"


# Escaped as in GitHub's own toolkit: packages/core/src/command.ts of actions/toolkit.
def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
