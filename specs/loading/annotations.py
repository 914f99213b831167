"""Workflow commands: lines by which a step of GitHub Actions has something shown beside a file.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

MOST = 10
"""Of each level GitHub shows so many of a step, and drops the rest without a word."""


class WorkflowAnnotation(NamedTuple):
    """One annotation."""

    level: Literal["error", "warning"]
    text: str
    properties: Mapping[str, str]
    """`file`, `line`, `col` and `title`, as far as they are known."""


def commands(shown: Sequence[WorkflowAnnotation], whole: str) -> str:
    """The lines, errors first. Of more than GitHub shows the first are left, and the last of them
    says how many others `whole` tells."""
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


# Escaped as GitHub's own toolkit does it: packages/core/src/command.ts of actions/toolkit.
def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
