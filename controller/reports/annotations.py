"""PURE. What of a report belongs beside a line of a file."""

import re
from collections.abc import Iterator, Sequence

from controller.reports.protocol import Annotation
from validators.figures import clip
from validators.render.common import clean
from validators.report import Check, Report
from validators.verdict import Verdict

MOST = 200
"""Annotations of a report: nobody reads more."""
LONGEST_MESSAGE = 2000

# The first line of a problem as `specs.problems.render_text` prints it. What it quotes of a file
# stands indented, so no spec can pose as another problem.
_PROBLEM = re.compile(
    r"(?P<file>[^:\s][^:]*):(?P<line>\d{1,7}):\d+: (?P<level>error|warning): "
    r"(?P<message>.*) \[(?P<code>[a-z-]+)\]"
)
_LEVELS = {"error": "failure", "warning": "warning"}


def of_problems(text: str) -> tuple[Annotation, ...]:
    """The problems of a spec, from their text with the advice below each."""
    found: list[dict[str, object]] = []
    for line in text.splitlines():
        if head := _PROBLEM.fullmatch(line):
            found.append(
                {
                    "file": head["file"],
                    "line": max(int(head["line"]), 1),
                    "level": _LEVELS[head["level"]],
                    "title": head["code"],
                    "message": clip(head["message"], LONGEST_MESSAGE),
                }
            )
        elif found and (advice := re.fullmatch(r" +(?:\d+ )?= (.*)", line)):
            found[-1]["message"] = clip(f"{found[-1]['message']}; {advice[1]}", LONGEST_MESSAGE)
    return tuple(Annotation.model_validate(one) for one in found[:MOST])


def of_gates(reports: Sequence[Report], folder: str) -> tuple[Annotation, ...]:
    """The checks that did not pass, where each is written; those that stop the run first.

    `folder` is the spec's, below which its gates name files.
    """
    checks = sorted(_failing(reports), key=lambda check: -check.verdict.rank)
    return tuple(_annotation(check, folder) for check in checks[:MOST])


def _failing(reports: Sequence[Report]) -> Iterator[Check]:
    for report in reports:
        for check in report.checks:
            if check.where and check.verdict not in (Verdict.PASS, Verdict.SKIPPED):
                yield check


def _annotation(check: Check, folder: str) -> Annotation:
    assert check.where is not None, "only those are asked for"
    words = [check.message, *([check.next_step] if check.next_step else [])]
    return Annotation(
        file="/".join(filter(None, (folder, check.where.file))),
        line=check.where.line or 1,
        level="warning" if check.verdict is Verdict.WARN else "failure",
        title=clip(f"{check.verdict.name}: {clean(check.name)}", 200),
        message=clip("\n".join(map(clean, words)), LONGEST_MESSAGE),
    )
