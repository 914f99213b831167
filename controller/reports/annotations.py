"""PURE. The parts of a report that belong next to a line of a file."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from controller.reports.forge import Annotation
from specs.figures import clip
from specs.loading.problems import Problem, sentence
from validators.render.safe_text import clean
from validators.report import Check, Report
from validators.verdict import Verdict

MOST = 200
"""Annotations per report; nobody reads more."""
LONGEST_MESSAGE = 2000

_LEVELS: Mapping[str, Literal["failure", "warning"]] = {"error": "failure", "warning": "warning"}


def of_problems(problems: Sequence[Problem]) -> tuple[Annotation, ...]:
    """The problems of a spec, each on its line, with what was expected."""
    return tuple(
        Annotation(
            file=clean(one.file),
            line=max(one.line, 1),
            level=_LEVELS[one.severity],
            title=one.code,
            message=clip(clean(sentence(one)), LONGEST_MESSAGE),
        )
        for one in problems[:MOST]
    )


def of_gates(reports: Sequence[Report]) -> tuple[Annotation, ...]:
    """The checks that did not pass, each where it is defined in the repository; those that stop
    the run come first."""
    checks = sorted(_failing(_at_this_commit(reports)), key=lambda check: -check.verdict.rank)
    return tuple(_annotation(check) for check in checks[:MOST])


def _at_this_commit(reports: Sequence[Report]) -> Iterator[Report]:
    """Without the reports that judge by the base branch's version of a suite that this commit
    changes: their line numbers are those of the base branch. The report by the changed suite of the
    same dataset follows later in `reports`."""
    for at, report in enumerate(reports):
        again = any(
            (other.gate, other.subject) == (report.gate, report.subject)
            for other in reports[at + 1 :]
        )
        if report.gate != "data" or not again:
            yield report


def _failing(reports: Iterable[Report]) -> Iterator[Check]:
    for report in reports:
        for check in report.checks:
            if check.where and check.verdict not in (Verdict.PASS, Verdict.SKIPPED):
                overruled = {"verdict": Verdict.WARN} if report.overrules(check) else {}
                yield check.model_copy(update=overruled)


def _annotation(check: Check) -> Annotation:
    assert check.where is not None, "filtered by _failing"
    words = [check.message, *([check.next_step] if check.next_step else [])]
    return Annotation(
        file=check.where.file,
        line=check.where.line or 1,
        level="warning" if check.verdict is Verdict.WARN else "failure",
        title=clip(f"{check.verdict.name}: {clean(check.name)}", 200),
        message=clip("\n".join(map(clean, words)), LONGEST_MESSAGE),
    )
