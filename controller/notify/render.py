"""PURE. Renders incidents, for people who were just woken up and for programs."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Literal

from controller.machine.actions import Background, Incident, Moment, SignalEvidence
from controller.notify.protocol import Status
from specs.digests import short
from specs.figures import clip, number

LONGEST_SUBJECT = 120
Level = Literal["critical", "warning", "info", "over"]


def level(incident: Incident, status: Status) -> Level:
    """The severity; `critical` is for what somebody has to get up for."""
    if status == "firing":
        return "critical" if incident.needs_human else "warning"
    return "over" if status == "resolved" else "info"


def subject(incident: Incident, status: Status) -> str:
    """One self-contained line: what happened, and whether to get up."""
    if status == "resolved":
        return clip(f"Resolved: {incident.title}", LONGEST_SUBJECT)
    mark = "Action needed: " if level(incident, status) == "critical" else ""
    return clip(mark + incident.title, LONGEST_SUBJECT)


def text(incident: Incident, status: Status, alert: str) -> str:
    """The body as plain text, without the subject.

    The most important parts come first, since many services cut long messages.
    """
    parts = [clip(incident.what, 1_000)]
    if state := _state(incident, status):
        parts.append("\n".join(state))
    if incident.evidence:
        parts.append(_listed("Why:", (_because(one) for one in incident.evidence)))
    if incident.commands:
        parts.append("\n".join(["Commands:", *(f"  {line}" for line in incident.commands)]))
    title, differs = _differs(incident)
    if differs:
        parts.append(_listed(title, differs))
    parts.append(_signed(incident, status, alert))
    return "\n\n".join(parts) + "\n"


def markdown(incident: Incident, status: Status, alert: str) -> str:
    """The body as Markdown, for chats."""
    parts = [_harmless(clip(incident.what, 1_000))]
    if state := _state(incident, status):
        parts.append("\n".join(f"- {_bold(line)}" for line in state))
    if incident.evidence:
        parts.append(_listed("Why:\n", (_bold(_because(one)) for one in incident.evidence)))
    if incident.commands:
        commands = "\n".join(incident.commands).replace("```", "")
        parts.append(f"```\n{commands}\n```")
    title, differs = _differs(incident)
    if differs:
        parts.append(_listed(f"{_harmless(title)}\n", (_bold(line) for line in differs)))
    parts.append(_harmless(_signed(incident, status, alert)))
    return "\n\n".join(parts) + "\n"


def as_json(incident: Incident, status: Status, alert: str) -> dict[str, Any]:
    """Every field, for webhooks and for the structured parts of pagers."""
    return {
        "alert": alert,
        "status": status,
        "level": level(incident, status),
        "incident": incident.plain(),
    }


def _state(incident: Incident, status: Status) -> list[str]:
    lines = []
    if incident.now:
        lines.append(f"{'Points to' if incident.points else 'Serves now'}: {incident.now}")
    if incident.was:
        lines.append(f"Removed: {incident.was}")
    if status != "resolved":
        lines.append(f"Action needed: {'yes' if incident.needs_human else 'no'}")
    if incident.background:
        lines += _known(incident.background)
    return [clip(line, 300) for line in lines]


def _known(background: Background) -> Iterator[str]:
    if background.hurt:
        yield f"Impact: {background.hurt}"
    if background.since:
        yield f"Since: {_times(background.since)}"
    if origin := background.origin:
        said = f": {clip(origin.subject, 100)}" if origin.subject else ""
        by = f" by {clip(origin.author, 60)}" if origin.author else ""
        yield f"Commit: {short(origin.commit)}{by}{said}"
    if background.because:
        yield f"Released because: {background.because}"


def _times(moments: tuple[Moment, ...]) -> str:
    """`canary began 2026-11-29 14:00:05 UTC, rolled back 14:00:31`: a date only if it differs."""
    said, day = [], ""
    for moment in moments:
        at = datetime.fromtimestamp(moment.at, UTC)
        date = at.strftime("%Y-%m-%d")
        zone = " UTC" if not day else ""
        shown = at.strftime("%H:%M:%S") if date == day else at.strftime("%Y-%m-%d %H:%M:%S")
        said.append(f"{moment.what} {shown}{zone}")
        day = date
    return ", ".join(said)


def _differs(incident: Incident) -> tuple[str, list[str]]:
    """How the version differs from the one that serves, with a title."""
    if incident.background is None:
        return "", []
    lines = [clip(one, 300) for one in incident.background.differs]
    return f"Differs from {clip(incident.background.beside, 100)}:", lines


def _listed(title: str, lines: Iterable[str]) -> str:
    return "\n".join([title, *(f"- {line}" for line in lines)])


def _signed(incident: Incident, status: Status, alert: str) -> str:
    by = f" Sent by controller {clip(incident.controller, 100)}." if incident.controller else ""
    return f"Alert {alert}: {status}.{by}"


def _because(evidence: SignalEvidence) -> str:
    """`errors: 0.081; limit >= 0.1; baseline 0.2; n 1,204. What it means.`"""
    facts = [
        evidence.observed,
        f"limit {evidence.limit}" if evidence.limit else "",
        f"baseline {evidence.baseline}" if evidence.baseline else "",
        f"n {number(evidence.n)}" if evidence.n is not None else "",
    ]
    known = "; ".join(fact for fact in facts if fact)
    said = f"{evidence.signal}: {known}" if known else evidence.signal
    note = evidence.note
    if "_" not in note.partition(" ")[0]:  # otherwise it starts with a name such as roc_auc
        note = note[:1].upper() + note[1:]
    return clip(f"{said}. {note}" if note else said, 600)


def _bold(line: str) -> str:
    label, colon, rest = line.partition(": ")
    return f"**{_harmless(label)}{colon.strip()}** {_harmless(rest)}".rstrip()


def _harmless(text: str) -> str:
    """Foreign text with its mentions, links and code disabled.

    An invisible space does this in every chat, whereas escaping differs between them.
    """
    return re.sub(r"[@<\]]", "\\g<0>\u200b", text.replace("`", "'"))
