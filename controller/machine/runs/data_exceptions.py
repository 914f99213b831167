"""PURE. Exceptions to a data gate's verdict: a version that failed and that a person accepts, and a
version that is read in place of one that failed. A run keeps those that apply to it."""

from collections.abc import Iterable
from datetime import UTC, datetime

from controller.machine.core import Value
from controller.machine.runs.node_names import data_gate, gate_name
from specs.digests import short
from validators.verdict import Verdict

ACCEPTABLE = (Verdict.FAIL, Verdict.INCONCLUSIVE)
"""Verdicts that a person may overrule. ERROR is none: nothing was judged, so there is nothing to
weigh against a reason."""


class AcceptedVersion(Value):
    """A dataset version that steps may read although its gate did not pass."""

    dataset: str
    version: str
    gate: str
    """The node of the gate."""
    key: str
    """The cache key of the gate: this version, judged by this suite. Another suite is another
    question, and this no answer to it."""
    run: str
    """The run that it stopped."""
    verdict: Verdict
    failed: int
    """How many checks did not pass."""
    by: str
    reason: str
    at: float
    """In seconds since the epoch."""

    def __str__(self) -> str:
        day = datetime.fromtimestamp(self.at, UTC).date().isoformat()
        checks = f"{self.failed} check{'s' * (self.failed != 1)}"
        did = "failed" if self.verdict is Verdict.FAIL else "could not decide"
        return f"accepted by {self.by} on {day}: {self.reason}; the gate {did} {checks}"

    @property
    def in_full(self) -> str:
        """With which version of which dataset it is."""
        return f"{self.dataset} {short(self.version)} {self}"

    def applies(self, key: str | None, verdict: Verdict | None) -> bool:
        """Whether it overrules a gate with that cache key and verdict."""
        return key == self.key and verdict in ACCEPTABLE


class FailedVersion(Value):
    """A dataset version that its gates stopped on the default branch."""

    version: str
    question: str
    """What the gates asked: see `data_gate_nodes.question_of`."""
    keys: tuple[str, ...]
    """The cache keys of the gates that did not pass."""
    run: str


class Fallback(Value):
    """The last good version of a dataset, which a run reads in place of the newest."""

    dataset: str
    version: str
    """What is read."""
    failed: str
    """The newest version, whose gate failed."""
    run: str
    """The run that it stopped."""

    def __str__(self) -> str:
        return (
            f"{self.dataset} is read at {short(self.version)}, the last version that passed its "
            f"gate, as {short(self.failed)} failed it in {self.run}"
        )


def accepted_in(
    accepted: Iterable[AcceptedVersion], key: str | None, verdict: Verdict | None
) -> AcceptedVersion | None:
    """What overrules a gate with that cache key and verdict, if anything does."""
    return next((one for one in accepted if one.applies(key, verdict)), None)


def exceptions_of(
    accepted: Iterable[AcceptedVersion], fallbacks: Iterable[Fallback]
) -> dict[str, str]:
    """The exceptions in words, by dataset."""
    found: dict[str, list[str]] = {}
    for one in accepted:
        found.setdefault(one.dataset, []).append(str(one))
    for older in fallbacks:
        found.setdefault(older.dataset, []).append(str(older))
    return {dataset: "; ".join(said) for dataset, said in found.items()}


def evidence_of(
    accepted: Iterable[AcceptedVersion], fallbacks: Iterable[Fallback]
) -> tuple[dict[str, str], ...]:
    """The exceptions as evidence in the file of an environment."""
    overruled = (
        {"signal": gate_name(one.gate), "verdict": one.verdict.value, "exception": str(one)}
        for one in accepted
    )
    replaced = (
        {"signal": gate_name(data_gate(one.dataset)), "exception": str(one)} for one in fallbacks
    )
    return (*overruled, *replaced)
