"""PURE. An incident in words: what a person who was just woken reads, and what a program does."""

import re
from typing import Any

from controller.machine.actions import Evidence, Incident
from controller.notify.protocol import Status
from validators.figures import clip, number

LONGEST_SUBJECT = 120


def subject(incident: Incident, status: Status) -> str:
    """One line that says by itself what happened, and whether to get up."""
    if status == "resolved":
        return clip(f"Resolved: {incident.title}", LONGEST_SUBJECT)
    mark = "You are needed: " if incident.needs_human else ""
    return clip(mark + incident.title, LONGEST_SUBJECT)


def text(incident: Incident, status: Status, alert: str) -> str:
    """The body as plain text; the subject is not said again."""
    parts = [clip(incident.what, 1_000), "\n".join(_state(incident, status))]
    if incident.evidence:
        parts.append("\n".join(["Why:", *(f"- {_because(one)}" for one in incident.evidence)]))
    if incident.commands:
        parts.append("\n".join(["Commands:", *(f"  {line}" for line in incident.commands)]))
    parts.append(f"Alert {alert}: {status}.")
    return "\n\n".join(parts) + "\n"


def markdown(incident: Incident, status: Status, alert: str) -> str:
    """The same for chats."""
    parts = [_harmless(clip(incident.what, 1_000))]
    parts.append("\n".join(f"- {_bold(line)}" for line in _state(incident, status)))
    if incident.evidence:
        why = (_bold(_because(one)) for one in incident.evidence)
        parts.append("\n".join(["Why:", "", *(f"- {line}" for line in why)]))
    if incident.commands:
        commands = "\n".join(incident.commands).replace("```", "")
        parts.append(f"```\n{commands}\n```")
    parts.append(f"Alert {_harmless(alert)}: {status}.")
    return "\n\n".join(parts) + "\n"


def as_json(incident: Incident, status: Status, alert: str) -> dict[str, Any]:
    """Every field, for webhooks and for the structured parts of pagers."""
    return {"alert": alert, "status": status, "incident": incident.plain()}


def _state(incident: Incident, status: Status) -> list[str]:
    lines = []
    if incident.now:
        lines.append(f"Serves now: {incident.now}")
    if incident.was:
        lines.append(f"Taken out: {incident.was}")
    if status != "resolved":
        lines.append(f"Needs you: {'yes' if incident.needs_human else 'no'}")
    return [clip(line, 300) for line in lines]


def _because(evidence: Evidence) -> str:
    """`errors: 0.081; limit >= 0.1; baseline 0.2; n 1,204. What it means.`"""
    facts = [
        evidence.observed,
        f"limit {evidence.limit}" if evidence.limit else "",
        f"baseline {evidence.baseline}" if evidence.baseline else "",
        f"n {number(evidence.n)}" if evidence.n is not None else "",
    ]
    known = "; ".join(fact for fact in facts if fact)
    said = f"{evidence.signal}: {known}" if known else evidence.signal
    return clip(f"{said}. {evidence.note}" if evidence.note else said, 500)


def _bold(line: str) -> str:
    label, colon, rest = line.partition(": ")
    return f"**{_harmless(label)}{colon.strip()}** {_harmless(rest)}".rstrip()


def _harmless(text: str) -> str:
    """Foreign text without mentions, links or code.

    By an invisible space, as chats differ in how they escape but agree in what they look for.
    """
    return re.sub(r"[@<\]]", "\\g<0>\u200b", text.replace("`", "'"))
