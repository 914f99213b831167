"""PURE. How a pull request changes the rules of a pipeline: a report of its own, which fails until
somebody with the right accepts what it loosens."""

from collections.abc import Iterator
from typing import NamedTuple

from controller.machine.actions import ReportPolicy
from controller.machine.pipelines.code import Code
from controller.planning.plans import PolicyChange
from controller.reports.links import Links
from controller.reports.protocol import LONGEST, CommitReport, Conclusion, ReportState
from controller.reports.rules import Side, Where, count, may_accept, rules, said
from validators.figures import clip
from validators.render.markdown import code, escape

LONGEST_TITLE = 200
_IN_THE_QUEUE = (
    "A merge group may loosen what was accepted in its pull requests, and no more. Accept it "
    "there, and queue the pull request again."
)


class Compared(NamedTuple):
    """The rules before and after. `base` is None for a pipeline that is new, `head` for one that
    the pull request removes."""

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
    """Whether there is something that somebody has to accept."""
    base, head, policy = compared
    known = base is not None and base.spec is not None
    return known and (head is None or count(policy.changes) > 0)


def _judged(action: ReportPolicy, compared: Compared) -> _Verdict:
    base, head, policy = compared
    if head is not None and head.spec is None:
        many = f"{head.problem_count} problem{'s' * (head.problem_count != 1)}"
        return _Verdict(f"the spec is invalid ({many}), so its rules cannot be compared", True)
    if base is None or base.spec is None:
        return _Verdict(f"{action.pipeline} is new here: its rules begin with this", False)
    if head is None:
        what = f"removes {action.pipeline} with all its rules"
    elif count(policy.changes):
        what = said(policy.changes)
    else:
        changed = len(policy.changes)
        return _Verdict("no rule loosened" + (f" ({changed} changed)" if changed else ""), False)
    if action.accepted:
        return _Verdict(f"{what}, accepted by @{action.accepted.removeprefix('@')}", False)
    if action.queued:
        return _Verdict(f"{what}, which no open pull request has accepted", True)
    who = may_accept(base.spec.policy.approvers)
    return _Verdict(f"{what}; waits for {who} to accept this commit", True, True)


def _how_to_accept(action: ReportPolicy, base: Code | None) -> Iterator[str]:
    assert base is not None, "without rules there is nothing to accept"
    assert base.spec is not None
    who = escape(may_accept(base.spec.policy.approvers))
    accept = code(f"/headgate accept {action.commit[:12]}")
    yield (
        f"**This check fails until it is accepted for this very commit** by {who}: comment "
        f"{accept}, or press the check's button. Accepting also runs the commit anew, judged by "
        "its own rules; a new push has to be accepted anew."
    )


def _about(action: ReportPolicy, compared: Compared, links: Links) -> Iterator[str]:
    base, head, policy = compared
    if head is not None and head.spec is None:
        yield (
            "Mend the spec first: what cannot be read may ask for anything. The check of the "
            "pipeline says on which lines. Until then the rules of "
            f"{code(action.base)} stay in force."
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
            else ", found by the pipeline's name: its last valid spec there, which "
            f"{links.commit(action.base_commit)} does not have any more."
        )
    )
    if head is None:
        yield (
            "With the spec go its gates, and whatever is added under another name begins without "
            "any. What its environments run, they keep."
        )
        return
    if base.source.path != head.source.path:
        was, now = (code(one.source.path) for one in (base, head))
        yield f"The spec moves from {was} to {now}: its rules go with its name."
    yield from (f"- {escape(note)}" for note in policy.notes)


def _new(action: ReportPolicy, head: Code | None) -> Iterator[str]:
    """What a reader has to know who lets a pipeline in: after this, its rules are these."""
    yield (
        f"{code(action.base)} has never had a pipeline of this name, so there are no rules to "
        "compare with: once it is merged, these are its rules."
    )
    spec = head.spec if head else None
    if spec is None:
        return
    lacks = []
    if spec.gates.model is None:
        lacks.append("no model gate: any model passes")
    bare = [code(name) for name, data in spec.datasets.items() if not data.expectations]
    if bare:
        lacks.append(f"no suite for {', '.join(bare)}: any data passes")
    if not spec.triggers.pull_requests.enabled:
        lacks.append("pull requests are not judged")
    yield from (f"- **{each}**" for each in lacks)
