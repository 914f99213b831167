"""PURE. What the person who decides on a release reads: the evidence and the model card."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from controller.machine.pipelines.rule_change import RuleChange
from controller.machine.pipelines.version import ModelVersion
from controller.machine.runs.data_exceptions import exceptions_of
from controller.reports.forge import LONGEST
from controller.reports.gates import gates
from controller.reports.headline import judged, loosened
from controller.reports.links import NOWHERE
from controller.reports.rules import count, rules
from controller.reports.table import table
from specs.digests import short
from specs.figures import duration, number, percent, signed, significant
from specs.release import Production
from validators.render.common import limits_of
from validators.render.markdown import code, escape, prose
from validators.report import Check, MetricComparison, Report
from validators.verdict import worst

MOST_ROWS = 30
"""Rows of a table, and lines of a list."""


class ModelCard(NamedTuple):
    """What is known of a version that is proposed for an environment."""

    version: ModelVersion
    baseline: ModelVersion | None
    """The version that serves there now."""
    compared_with: int | None
    """The number of the version that its run was compared with."""
    reports: Mapping[str, Report]
    """The reports of the gates of its run, by gate: `model`, `data.flights`."""
    environment: str
    by: str
    why: str
    loosened: Sequence[RuleChange] | None = None
    """How its rules differ from those of the version that serves now; None if nothing serves or the
    rules can no longer be compared."""


def render(card: ModelCard) -> str:
    """The body of the pull request, at most 65,535 characters; passing checks are cut first."""
    rest = "\n\n".join(_after_the_evidence(card)) + "\n"
    top = "\n\n".join(_before_the_evidence(card))
    room = max(LONGEST - len(rest) - len(top) - 4, 500)
    judged = gates(card.reports, None, NOWHERE, f"headgate show {card.version.run}", room)
    text = "\n\n".join([top, *judged, rest])
    return text if len(text) <= LONGEST else text[: LONGEST - 2] + "…\n"


def _before_the_evidence(card: ModelCard) -> Iterator[str]:
    """The verdict with its number, and the rules that were loosened."""
    version = card.version
    verdict = worst(version.verdicts.values()) if version.verdicts else None
    icon = "✅" if verdict is not None and verdict.passes else "⚠️"
    known = card.loosened is not None
    parts = [
        f"{version.pipeline} v{version.number}: {_shown(card)}",
        *([loosened(count(card.loosened or ()))] if known else []),
    ]
    yield f"## {icon} {escape('; '.join(parts))}"
    old = card.baseline
    if card.loosened and old is not None and count(card.loosened):
        number = count(card.loosened)
        what = f"{number} rules were" if number > 1 else "1 rule was"
        yield (
            f"### ⚠️ {what} loosened since v{old.number}, the version that serves now\n\n"
            f"> **v{version.number} was judged by the rules of its own commit, not by those "
            f"that v{old.number} had to pass.**"
        )
    elif card.loosened and old is not None:
        yield f"### Rules that changed since v{old.number}\n\nNone was loosened."
    elif not known and old is not None:
        yield (
            f"**Whether rules were loosened since v{old.number}, the version that serves now, is "
            "unknown**: their commits can no longer be compared."
        )
    if old is not None:
        yield from rules(card.loosened or (), f"v{old.number}", f"v{version.number}")


def _shown(card: ModelCard) -> str:
    report = card.reports.get("model")
    if report is not None:
        return "; ".join(judged(report, card.compared_with))
    verdicts = ", ".join(f"{name} {one}" for name, one in card.version.verdicts.items())
    return verdicts or "there is no gate, so nothing was judged"


def _after_the_evidence(card: ModelCard) -> Iterator[str]:
    yield "## Model card"
    yield table(["", ""], _facts(card))
    yield from _metrics(card)
    yield from _slices(card)
    yield "## What happens next"
    yield "\n".join(_next(card))


def _facts(card: ModelCard) -> list[list[str]]:
    version, old = card.version, card.baseline
    spec, source = version.spec, version.source
    rows = [
        ["Version", f"v{version.number} {code(version.digest)}"],
        ["Replaces", f"v{old.number} {code(short(old.digest))}" if old else "nothing serves yet"],
        ["Commit", f"{code(source.commit)} on {code(version.branch)}"],
    ]
    datasets = sorted(version.datasets.items())[:MOST_ROWS]
    rows += [[f"Dataset {escape(name)}", code(digest)] for name, digest in datasets]
    notes = exceptions_of(version.accepted_versions, version.fallbacks).items()
    rows += [[f"⚠️ {escape(name)}", escape(said)] for name, said in list(notes)[:MOST_ROWS]]
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


def _metrics(card: ModelCard) -> Iterator[str]:
    """Both models' metrics on the same rows, with the intervals of their differences."""
    report = card.reports.get("model")
    if report is None or not report.metrics:
        return
    held = f"v{card.compared_with}" if card.compared_with is not None else "none"
    yield f"### Metrics, baseline {held}"
    serves = card.baseline.number if card.baseline else None
    if card.compared_with is not None and serves != card.compared_with:
        yield f"> **v{card.compared_with} no longer serves**; the current version was not compared."
    rows = [
        [escape(one.metric), _moved(one.baseline, one.candidate), *_difference(one)]
        for one in report.metrics[:MOST_ROWS]
    ]
    heads = ["Metric", f"{held} → v{card.version.number}", "Difference", "Interval"]
    yield table(heads, rows, right=(1, 2, 3))
    counts = [one.n for one in report.metrics if one.n is not None]
    if counts:
        yield f"Measured on {counts[0]:,} rows."
    notes = [f"- {escape(one.metric)}: {escape(one.note)}" for one in report.metrics if one.note]
    yield "\n".join(notes[:MOST_ROWS])


def _slices(card: ModelCard) -> Iterator[str]:
    report = card.reports.get("model")
    found = [check for check in report.checks if check.subject is not None] if report else []
    if not found:
        return
    ranked = sorted(found, key=lambda check: -check.verdict.rank)
    rows = [
        [check.verdict.value, _slice(check), _values(check), f"{check.n or 0:,}"]
        for check in ranked[:MOST_ROWS]
    ]
    yield "### Slices"
    yield table(["", "Slice", "Baseline → here", "Rows"], rows, right=(2, 3))
    if len(ranked) > MOST_ROWS:
        yield f"{len(ranked) - MOST_ROWS} more are in the evidence above."


def _slice(check: Check) -> str:
    return f"{escape(check.subject or '')}: {escape(check.name)}"


def _values(check: Check) -> str:
    if not isinstance(check.observed, float):
        return escape(str(check.observed or ""))
    limits = limits_of(check)
    now = significant(check.observed, limits)
    if isinstance(check.baseline, float):
        return f"{significant(check.baseline, limits)} → {now}"
    return now


def _moved(was: float | None, now: float | None) -> str:
    shown = "undefined" if now is None else significant(now)
    return shown if was is None else f"{significant(was)} → {shown}"


def _difference(one: MetricComparison) -> list[str]:
    """The difference, marked as better or worse if its interval excludes zero, and the interval."""
    if one.difference is None:
        return ["", ""]
    found = one.interval
    known = one.greater_is_better is not None
    sure = known and found is not None and (found.low > 0 or found.high < 0)
    better = (one.difference > 0) == one.greater_is_better
    mark = ("▲" if better else "▼") if sure else ""
    interval = f"{signed(found.low)} to {signed(found.high)}" if found else ""
    return [f"{signed(one.difference)} {mark}".rstrip(), interval]


def _next(card: ModelCard) -> Iterator[str]:
    version = card.version
    assert version.spec.release is not None, "only a version with a release is proposed"
    canary = version.spec.release.production.canary
    place = f"{version.pipeline}/{card.environment}"
    if card.baseline is None:
        first = "nothing serves yet, so it gets all traffic once ready."
        if version.spec.release.batch is not None:
            first = f"{card.environment} then points to it."
        yield f"- **Merging** releases it: {first}"
    elif version.spec.release.batch is not None:
        runs = " and runs its batch command" if version.spec.release.run else ""
        instead = f"instead of v{card.baseline.number}{runs}"
        yield f"- **Merging** points {card.environment} to it {instead}."
    elif version.spec.release.production.strategy != "canary":
        yield f"- **Merging** {_switch(version.spec.release.production, card.baseline.number)}"
    else:
        shares = ", ".join(percent(step) for step in canary.steps)
        yield (
            f"- **Merging** starts its canary beside v{card.baseline.number}: {shares} of the "
            f"traffic, for at least {duration(canary.minimum_bake.total_seconds())}, decided "
            f"within {duration(canary.deadline.total_seconds())}. If it is worse, it is rolled "
            "back and this file is restored."
        )
        limits = {
            **{name: signal.not_worse_by for name, signal in canary.signals.named().items()},
            **canary.signals.unasked(),
        }
        for name, allowed in limits.items():
            yield f"  - {_limit(name, allowed)}"
    yield (
        "- **Closing** declines it: the current version stays and this one is not quarantined. "
        f"{code(f'headgate retry {place}')} proposes it again."
    )
    by_command = prose(f"`headgate approve {place}`, `headgate abort {place}`")
    yield f"- From the command line: {by_command}."
    yield "- Editing the file on this branch changes what merging releases."


def _switch(production: Production, number: int) -> str:
    """What happens to the traffic in a release without a canary."""
    if production.strategy == "direct":
        return f"sends it all traffic once its server is ready and stops v{number}; no canary."
    rule = production.blue_green
    kept = duration(rule.keep_for.total_seconds())
    watched = "nothing is watched"
    if rule.errors is not None:
        watched = f"if it fails more often than v{number} did, all traffic goes back"
    return (
        f"sends it all traffic once its server is ready. v{number} stays up for {kept}; "
        f"meanwhile {watched}."
    )


def _limit(name: str, allowed: float) -> str:
    """The limit of a signal, in words."""
    # Most are shares of requests; latency and size are relative to the stable version's.
    points = f"at most {number(allowed * 100)} more requests per hundred may"
    words = {
        "errors": f"{points} fail",
        "refusals": f"{points} be refused (4xx)",
        "other_statuses": f"{points} get a status other than 2xx or 4xx",
        "content": f"{points} have no body or another media type; beyond that it is held",
        "size": f"responses may be {percent(allowed)} larger or smaller than the stable version's; "
        "beyond that it is held",
    }
    other = f"may be {percent(allowed)} higher than the stable version's"
    return f"{code(name)}: {words.get(name, other)}"
