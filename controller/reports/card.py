"""PURE. What a person reads who decides on a release: the evidence, and the model card."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from controller.machine.pipelines.version import ModelVersion
from controller.reports.protocol import LONGEST
from specs.digests import short
from validators.figures import number, percent
from validators.render.common import duration, evidence, measured
from validators.render.markdown import code, escape, prose
from validators.render.markdown import render as gates
from validators.report import Check, Report

MOST_ROWS = 30
"""Of one table, and of one list."""


class Card(NamedTuple):
    """Everything that is known of a version that may come into an environment."""

    version: ModelVersion
    baseline: ModelVersion | None
    """What serves there now."""
    held_against: int | None
    """The number of the version that its run was compared with."""
    reports: Sequence[Report]
    """Of the gates of its run."""
    environment: str
    by: str
    why: str


def render(card: Card) -> str:
    """The text of the pull request, at most 65,535 characters: of the evidence, passing checks
    are cut first."""
    rest = "\n\n".join(_after_the_evidence(card)) + "\n"
    version = card.version
    if not card.reports:
        verdicts = ", ".join(f"{escape(name)} {one}" for name, one in version.verdicts.items())
        top = f"## Gates: {verdicts or 'the pipeline has none'}\n"
    else:
        worst_first = sorted(card.reports, key=lambda report: -report.verdict.rank)
        title = f"{version.pipeline} v{version.number}"
        room = max(LONGEST - len(rest) - 1, 500)
        top = gates(worst_first, title, whole=f"headgate show {version.run}", longest=room)
    text = f"{top}\n{rest}"
    return text if len(text) <= LONGEST else text[: LONGEST - 2] + "…\n"


def _after_the_evidence(card: Card) -> Iterator[str]:
    yield "## Model card"
    yield _table(["", ""], _facts(card))
    yield from _metrics(card)
    yield from _slices(card.reports)
    yield "## What happens next"
    yield "\n".join(_next(card))


def _facts(card: Card) -> list[list[str]]:
    version, old = card.version, card.baseline
    spec, source = version.spec, version.source
    rows = [
        ["Version", f"v{version.number} {code(version.digest)}"],
        ["Replaces", f"v{old.number} {code(short(old.digest))}" if old else "nothing serves yet"],
        ["Commit", f"{code(source.commit)} on {code(version.branch)}"],
    ]
    datasets = sorted(version.datasets.items())[:MOST_ROWS]
    rows += [[f"Dataset {escape(name)}", code(digest)] for name, digest in datasets]
    params = dict(spec.params)
    for step in spec.steps:
        own = spec.steps[step].params
        params |= {f"{step}.{name}": value for name, value in own.items()}
    said = ", ".join(f"{name}={value}" for name, value in list(params.items())[:MOST_ROWS])
    return [
        *rows,
        ["Parameters", code(said) or "none"],
        ["Run", code(version.run)],
        ["Why", escape(card.why)],
        ["By", escape(card.by)],
        *([["Owners", escape(", ".join(spec.metadata.owners))]] if spec.metadata.owners else []),
    ]


def _metrics(card: Card) -> Iterator[str]:
    """What both models measured on the same rows, with the intervals of the differences."""
    model = [report for report in card.reports if report.gate == "model"]
    rows = [row for report in model for row in measured(report)][:MOST_ROWS]
    if not rows:
        return
    held = f"v{card.held_against}" if card.held_against is not None else "none"
    yield f"### Metrics, baseline {held}"
    serves = card.baseline.number if card.baseline else None
    if card.held_against is not None and serves != card.held_against:
        yield f"> **v{card.held_against} does not serve any more**: what does was not compared."
    names = ["metric", "candidate", "baseline", "difference", "interval", "better", "n", "note"]
    yield _table(
        [name if name == "n" else name.capitalize() for name in names],
        [[escape(row[name]) for name in names] for row in rows],
    )


def _slices(reports: Sequence[Report]) -> Iterator[str]:
    found = [
        check
        for report in reports
        if report.gate == "model"
        for check in report.checks
        if check.subject is not None
    ]
    if not found:
        return
    worst = sorted(found, key=lambda check: -check.verdict.rank)
    yield "### Slices"
    yield _checks(worst[:MOST_ROWS])
    if len(worst) > MOST_ROWS:
        yield f"{len(worst) - MOST_ROWS} more are in the evidence above."


def _checks(checks: Sequence[Check]) -> str:
    columns = ["observed", "baseline", "difference", "interval", "limit", "n"]
    rows = []
    for check in checks:
        facts = evidence(check)
        name = f"{check.subject}: {check.name}" if check.subject else check.name
        shown = [escape(facts.get(column, "")) for column in columns]
        rows.append([check.verdict.value, escape(name), *shown])
    heads = [name if name == "n" else name.capitalize() for name in columns]
    return _table(["Verdict", "Check", *heads], rows)


def _next(card: Card) -> Iterator[str]:
    version = card.version
    assert version.spec.release is not None, "only such a version is proposed"
    canary = version.spec.release.production.canary
    place = f"{version.pipeline}/{card.environment}"
    if card.baseline is None:
        yield "- **Merging** releases it: nothing serves yet, so it gets all traffic once ready."
    else:
        shares = ", ".join(percent(step) for step in canary.steps)
        yield (
            f"- **Merging** begins its canary beside v{card.baseline.number}: {shares} of the "
            f"traffic, at least {duration(canary.minimum_bake.total_seconds())}, decided within "
            f"{duration(canary.deadline.total_seconds())}. A version that is worse is rolled back "
            "and this file restored."
        )
        for name, signal in canary.signals.watched().items():
            # Errors are a share of the requests, a latency is relative to stable's.
            yield f"  - {_limit(name, signal.not_worse_by)}"
    yield (
        "- **Closing** declines it: what serves stays, and the version is not quarantined. "
        f"{code(f'headgate retry {place}')} proposes it again."
    )
    by_command = prose(f"`headgate approve {place}`, `headgate abort {place}`")
    yield f"- Without this page: {by_command}."
    yield "- Who edits the file on this branch decides what merging it asks for."


def _limit(name: str, allowed: float) -> str:
    """What a signal may show on the canary, in words."""
    if name == "errors":
        return f"{code(name)}: at most {number(allowed * 100)} more requests in a hundred may fail"
    return f"{code(name)}: may be {percent(allowed)} longer than on stable"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
