"""PURE. The report on how a pull request changes a pipeline's rules. Its check fails until
somebody who may do so accepts the loosened rules."""

from collections.abc import Iterator
from typing import NamedTuple

from controller.machine.actions import ReportPolicy, ReportState
from controller.machine.pipelines.code import Code
from controller.planning.plans import PolicyChange
from controller.reports.forge import LONGEST, CommitReport, Conclusion
from controller.reports.links import Links
from controller.reports.rules import Side, Where, count, may_accept, rules, title_of
from specs.figures import clip
from validators.render.markdown import code, escape

LONGEST_TITLE = 200
_IN_THE_QUEUE = (
    "A merge group may loosen only the rules that were accepted in its pull requests. Accept the "
    "change there and queue the pull request again."
)


class Compared(NamedTuple):
    """The rules before and after. `base` is None for a new pipeline, `head` for one that the pull
    request removes."""

    base: Code | None
    head: Code | None
    policy: PolicyChange


class _Verdict(NamedTuple):
    title: str
    fails: bool
    asks: bool = False


def policy_report(action: ReportPolicy, compared: Compared, links: Links) -> CommitReport:
    """The report that `action` asks for."""
    verdict = _judged(action, compared)
    state: ReportState = "held" if verdict.asks else "invalid" if verdict.fails else "passed"
    if action.accepted and not verdict.fails and _asks(compared):
        state = "accepted"
    conclusion: Conclusion = "failure" if verdict.fails else "success"
    title = clip(verdict.title, LONGEST_TITLE)
    parts = [
        f"## {'❌' if verdict.fails else '✅'} {escape(title)}",
        *(_how_to_accept(action, compared.base) if verdict.asks else ()),
        *((_IN_THE_QUEUE,) if action.queued and verdict.fails else ()),
        *_about(action, compared, links),
        *rules(compared.policy.changes, where=_where(compared, links)),
    ]
    text = "\n\n".join(parts) + "\n"
    return CommitReport(
        repository=action.repository,
        commit=action.commit,
        pipeline=action.pipeline,
        kind="policy",
        scope=action.scope,
        asks="accept" if verdict.asks else "",
        state=state,
        title=title,
        run=None,
        text=text if len(text) <= LONGEST else text[: LONGEST - 2] + "…\n",
        conclusion=conclusion,
        pull=action.pull,
    )


def _where(compared: Compared, links: Links) -> Where | None:
    if compared.base is None or compared.head is None:
        return None
    was, now = (
        Side(one.source.commit, one.source.folder) for one in (compared.base, compared.head)
    )
    return Where(links, was, now)


def _asks(compared: Compared) -> bool:
    """Whether there is anything to accept."""
    base, head, policy = compared
    known = base is not None and base.spec is not None
    return known and (head is None or count(policy.changes) > 0)


def _judged(action: ReportPolicy, compared: Compared) -> _Verdict:
    base, head, policy = compared
    if head is not None and head.spec is None:
        many = f"{head.problem_count} problem{'s' * (head.problem_count != 1)}"
        return _Verdict(f"the spec is invalid ({many}), so its rules cannot be compared", True)
    if base is None or base.spec is None:
        return _Verdict(f"{action.pipeline} is new: this sets its first rules", False)
    if head is None:
        what = f"removes {action.pipeline} with all its rules"
    elif count(policy.changes):
        what = title_of(policy.changes)
    else:
        changed = len(policy.changes)
        return _Verdict("no rule loosened" + (f" ({changed} changed)" if changed else ""), False)
    if action.accepted:
        return _Verdict(f"{what}, accepted by @{action.accepted.removeprefix('@')}", False)
    if action.queued:
        return _Verdict(f"{what}, accepted in no open pull request", True)
    who = may_accept(base.spec.policy.approvers)
    return _Verdict(f"{what}; waiting for {who} to accept this commit", True, True)


def _how_to_accept(action: ReportPolicy, base: Code | None) -> Iterator[str]:
    assert base is not None, "see _asks"
    assert base.spec is not None
    who = escape(may_accept(base.spec.policy.approvers))
    accept = code(f"/headgate accept {action.commit[:12]}")
    yield (
        f"**This check fails until {who} accepts this commit**: comment {accept}, or press the "
        "button on the check. Accepting also runs the commit again, judged by its own rules. "
        "Every new push has to be accepted again."
    )


def _about(action: ReportPolicy, compared: Compared, links: Links) -> Iterator[str]:
    base, head, policy = compared
    if head is not None and head.spec is None:
        yield (
            "Fix the spec first: the pipeline's own check lists its problems by line. Until then "
            f"the rules of {code(action.base)} stay in force."
        )
        return
    if base is None or base.spec is None:
        yield from _new(action, head)
        return
    at = links.commit(base.source.commit)
    yield (
        f"Compared with the rules of {code(action.base)} ({at})"
        + (
            "."
            if base.source.commit == action.base_commit
            else ": the pipeline's last valid spec there, which "
            f"{links.commit(action.base_commit)} no longer has."
        )
    )
    if head is None:
        yield (
            "Removing the spec removes its gates, and a pipeline added under another name starts "
            "without any. Its environments keep running what they run now."
        )
        return
    if base.source.path != head.source.path:
        was, now = (code(one.source.path) for one in (base, head))
        yield f"The spec moves from {was} to {now}: its rules follow its name."
    yield from (f"- {escape(note)}" for note in policy.notes)


def _new(action: ReportPolicy, head: Code | None) -> Iterator[str]:
    """What a reviewer should know about a new pipeline: the checks that it lacks."""
    yield (
        f"{code(action.base)} has never had a pipeline of this name, so there are no rules to "
        "compare with. Once merged, these are its rules."
    )
    spec = head.spec if head else None
    if spec is None:
        return
    lacks = []
    if spec.gates.model is None:
        lacks.append("no model gate: any model passes")
    bare = [code(name) for name, data in spec.datasets.items() if not data.is_judged]
    if bare:
        lacks.append(f"no suite for {', '.join(bare)}: any data passes")
    if not spec.triggers.pull_requests.enabled:
        lacks.append("pull requests are not judged")
    yield from (f"- **{each}**" for each in lacks)
