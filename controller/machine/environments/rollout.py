"""PURE. A rollout: one attempt to bring a model version into an environment.

    asked -> [approved] -> deployed -> ready -> smoke -> [canary] -> decided -> written

    waiting for approval   `approval: pull-request`, until somebody merges it or approves
    starting               its server runs beside stable and gets no traffic
    smoke                  staging: the spec's requests, past the router
    canary                 production: weights grow while the judge watches; with `strategy: direct`
                           or `blue-green` there is none
    promoting              decided; the environments branch has to say so first

The phase is derived from the facts below. A rollout that brings back a version which served here
before (`revert`) is judged by nothing: it was healthy, and time matters.
"""

from collections.abc import Sequence
from math import log
from typing import Literal

from controller.machine.core import Value
from controller.machine.environments.job import command_of, is_batch
from controller.machine.pipelines.version import ModelVersion, Ref
from specs.model import Pipeline as Spec
from specs.release import Strategy
from specs.traffic import Arm, Exchange, Waiting
from validators.canary import (
    CanaryDecision,
    CanaryPolicy,
    CanaryState,
    Judgement,
    begin,
    is_current,
    judge,
    update,
)
from validators.canary.evidence import odds
from validators.canary.forecast import outlook, pace, warning
from validators.canary.switch import FormerCounts, SwitchWatch
from validators.report import Report

DOUBTFUL = 1.5
"""Odds that a canary is worse from which on a person decides, though it takes more to roll back:
what one failure of a first request comes to at half of the traffic."""

Phase = Literal["approval", "starting", "smoke", "canary", "promoting"]
Kind = Literal["release", "wish", "revert"]
RolloutOutcome = Literal["promoted", "rolled_back", "aborted", "superseded", "failed"]


class Cursor(Value):
    """How far the router's records were read."""

    epoch: str
    after: int


class ReleaseProposal(Value):
    """The pull request that asks for a rollout's approval: merging it approves."""

    seen: str | None
    """The last commit of the environment's file that it was made for."""
    pull: int | None = None
    """Its number; None while it is asked for and not open yet."""
    url: str = ""
    failed: float | None = None
    """When it could not be opened; it is asked for again after a while."""


class Warm(Value):
    """The version that a switch of all traffic left: its server runs on, without traffic."""

    version: Ref
    rollout: str
    """The rollout that switched."""
    until: float
    """When its server may end, in seconds since the epoch."""
    before: FormerCounts = FormerCounts()
    """What it did before the switch, as far as the router remembers."""
    cursor: Cursor | None = None
    watched: SwitchWatch | None = None
    """What came of the version that took its place; None until that has the traffic."""


class Rollout(Value):
    """The facts of a rollout in progress."""

    id: str
    version: Ref
    kind: Kind
    why: str
    by: str
    asked: float
    run: str = ""
    """The run that asked for it, and its commit, where one did."""
    commit: str = ""
    approval: bool = False
    """Whether a human has to agree first."""
    approved: float | None = None
    proposal: ReleaseProposal | None = None
    points: bool = False
    """Whether it brings up no server, as its release is a batch."""
    deployed: float | None = None
    ready: float | None = None
    smoke_asked: float | None = None
    smoke: Report | None = None
    step: int = -1
    """Index of the weight in force; -1 while the canary gets no traffic."""
    step_since: float = 0.0
    step_seq: int = 0
    """Canary requests before this step."""
    cursor: Cursor | None = None
    before: FormerCounts | None = None
    """With `blue-green`: what stable did before the switch."""
    judge: CanaryState | None = None
    judgement: Judgement | None = None
    forecast: str | None = None
    """As its canary began: why it will not be decided by its deadline, if it will not."""
    first_failed: float | None = None
    """When the first request came that the canary failed."""
    doubted: float | None = None
    """Since when the evidence speaks against the canary, without a break."""
    unwatched: float | None = None
    """Since when the router last kept its traffic from it, as no controller saw to it."""
    held: str | None = None
    """Why it waits for a person."""
    differs: bool = False
    """Whether its answers were found to differ from stable's; from then on a person promotes it."""
    decided: float | None = None
    """When it was decided to promote it."""
    undecided: str | None = None
    """What is said of it where the judge could not decide, and the spec has it promoted so."""

    @property
    def has_server(self) -> bool:
        """Whether its server is up, or on its way."""
        return self.deployed is not None and not self.points

    @property
    def awaiting_approval(self) -> bool:
        """Whether it waits for an approval."""
        return self.approval and self.approved is None

    def phase(self, spec: Spec, environment: str, *, has_stable: bool) -> Phase:
        """Where it is. Only a release into production beside a stable version is a canary, where
        the spec has not another strategy."""
        if self.decided is not None:
            return "promoting"
        if self.awaiting_approval:
            return "approval"
        if self.ready is None:
            return "starting"
        if self.kind == "release" and environment == "staging" and self.smoke is None:
            return "smoke" if smoke_of(spec) else "promoting"
        beside_stable = self.kind == "release" and environment == "production" and has_stable
        if beside_stable and strategy_of(spec) == "canary" and not is_batch(spec):
            return "canary"
        return "promoting"

    def not_yet(self) -> str | None:
        """Why nobody can promote it now, in a sentence; None when somebody can."""
        if self.awaiting_approval:
            url = self.proposal.url if self.proposal else ""
            merge = f", and so does merging {url}" if url else ""
            number = self.version.version
            return f"v{number} waits for an approval; `headgate approve` gives it{merge}."
        if self.ready is None:
            return f"the server of v{self.version.version} is not ready yet; try again when it is."
        return None


class EndedRollout(Value):
    """How a rollout ended; kept as a fact, and the release history beside the branch's."""

    rollout: Rollout
    environment: str
    pipeline: str
    outcome: RolloutOutcome
    reason: str
    at: float
    beside: Ref | None = None
    """What served when it ended, before what it brought."""


def smoke_of(spec: Spec) -> bool:
    """Whether the spec asks for smoke requests, or for a command, before a release."""
    return bool(spec.release and spec.release.staging.smoke) or bool(command_of(spec))


def strategy_of(spec: Spec) -> Strategy:
    """How the spec's releases get production's traffic."""
    return spec.release.production.strategy if spec.release else "canary"


def weights(version: ModelVersion) -> tuple[float, ...]:
    """The canary's shares of the traffic, growing."""
    assert version.spec.release is not None
    return tuple(version.spec.release.production.canary.steps)


def begin_canary(
    rollout: Rollout, version: ModelVersion, history: Sequence[Exchange], now: float
) -> Rollout:
    """Fix the judge's rule and take the first weight. `history` is stable's traffic before."""
    assert version.spec.release is not None
    canary = version.spec.release.production.canary
    state = begin(CanaryPolicy.from_spec(canary), history, now)
    ahead = outlook(state, pace(history, now), weights(version))
    return rollout.model_copy(
        update={
            "judge": state,
            "forecast": warning(ahead, now, canary.on_inconclusive),
            "judgement": None,
            "held": None,
            "step": 0,
            "step_since": now,
            "step_seq": 0,
        }
    )


def is_judged(rollout: Rollout) -> bool:
    """Whether it has a judge, and not that of an earlier Headgate, which counted less: such a
    canary is begun anew, as what was not counted cannot be made up."""
    return rollout.judge is not None and is_current(rollout.judge)


def watch(
    rollout: Rollout, exchanges: Sequence[Exchange], now: float, waiting: Sequence[Waiting] = ()
) -> Rollout:
    """Take in new records and judge, with what waits for its answer. Of a request that came before
    it began, this canary knows nothing: a late answer may be an earlier canary's.
    """
    assert rollout.judge is not None
    began = rollout.judge.began
    new = [each for each in exchanges if each.at >= began]
    state = update(rollout.judge, new)
    judgement = judge(state, now, waiting)
    classed = rollout.judge.policy.classed
    canary = (each for each in new if each.arm is Arm.CANARY)
    failed = [each.at for each in canary if classed(each.status) == "errors"]
    return rollout.model_copy(
        update={
            "judge": state,
            "judgement": judgement,
            "differs": rollout.differs or judgement.decision is CanaryDecision.HOLD,
            "first_failed": rollout.first_failed or min(failed, default=None),
            "doubted": (rollout.doubted or now) if judgement.log_worse > 0 else None,
        }
    )


def grow(rollout: Rollout, version: ModelVersion, now: float) -> Rollout:
    """Take the next weight once this one had its share of the bake, and canary requests."""
    shares = weights(version)
    if not has_baked(rollout, version, now) or rollout.step + 1 >= len(shares):
        return rollout
    return rollout.model_copy(
        update={
            "step": rollout.step + 1,
            "step_since": now,
            "step_seq": _canary_requests(rollout),
        }
    )


def has_baked(rollout: Rollout, version: ModelVersion, now: float) -> bool:
    """Whether the weight in force had its share of the minimum bake, under real requests."""
    assert version.spec.release is not None
    canary = version.spec.release.production.canary
    share = canary.minimum_bake.total_seconds() / len(canary.steps)
    seen = _canary_requests(rollout) > rollout.step_seq
    return seen and now - rollout.step_since >= share


def lengthened(rollout: Rollout, seconds: float) -> Rollout:
    """With so much more time to bake and to decide, as its canary had no traffic for as long."""
    assert rollout.judge is not None
    policy = rollout.judge.policy
    longer = policy.model_copy(
        update={
            "minimum_bake": policy.minimum_bake + seconds,
            "deadline": policy.deadline + seconds,
        }
    )
    return rollout.model_copy(update={"judge": rollout.judge.model_copy(update={"policy": longer})})


def may_promote(rollout: Rollout, version: ModelVersion, now: float) -> bool:
    """Whether the judge says so at the last weight."""
    at_last = rollout.step + 1 == len(weights(version)) and has_baked(rollout, version, now)
    return (
        at_last
        and rollout.judgement is not None
        and (rollout.judgement.decision is CanaryDecision.PROMOTE)
    )


def unseen(rollout: Rollout) -> str | None:
    """Why a canary is not promoted without a decision even where the spec accepts that; None where
    it is. What nobody has seen, or what looks bad, is no lack of evidence to be waived."""
    judgement = rollout.judgement
    if judgement is None or not judgement.canary.requests:
        return "no request has reached it, and what nobody has seen is never promoted"
    if judgement.records_lost:
        return "its records are lost"
    if rollout.differs:
        return "its answers differ from stable's"
    if judgement.log_worse >= log(DOUBTFUL):
        return f"the evidence speaks against it, {odds(judgement.log_worse)} to 1"
    return None


def _canary_requests(rollout: Rollout) -> int:
    return rollout.judge.requests(Arm.CANARY) if rollout.judge else 0
