"""PURE. A rollout: one attempt to bring a model version into an environment.

    asked -> [approved] -> deployed -> ready -> smoke -> [canary] -> decided -> written

    approval     `approval: pull-request`: until somebody merges it or approves
    starting     its server starts beside stable, without traffic
    smoke        staging: the spec's requests, sent directly to the server
    canary       production: weights grow while it is judged; `strategy: direct` and `blue-green`
                 have none
    promoting    decided; the commit on the environments branch comes first

The phase is derived from the facts below. A rollout that brings back a former version (`revert`) is
not judged: that version was healthy, and time matters.
"""

from math import log
from typing import Literal

from controller.machine.core import Value
from controller.machine.environments.job import command_of, is_batch
from controller.machine.pipelines.version import ModelVersion, Ref
from deployers.protocol import Traffic
from specs.model import Pipeline as Spec
from specs.release import Strategy
from specs.traffic import Arm
from validators.canary import (
    CanaryDecision,
    CanaryPolicy,
    CanaryState,
    Judgement,
    begin,
    begin_counting,
    count,
    is_current,
    judge,
    update,
)
from validators.canary.evidence import odds
from validators.canary.forecast import outlook, pace, warning
from validators.canary.switch import FormerCounts, SwitchWatch
from validators.canary.windows import pace as pace_of_windows
from validators.report import Report

DOUBTFUL = 1.5
"""From these odds on that a canary is worse, it is not promoted undecided; rolling back takes more.
One failed first request, at half of the traffic, comes to as much."""

Phase = Literal["approval", "starting", "smoke", "canary", "promoting"]
Kind = Literal["release", "edit", "revert"]
"""What asked for it: a version that passed, a person's edit of the file, or a rollback."""
RolloutOutcome = Literal["promoted", "rolled_back", "aborted", "superseded", "failed"]


class Cursor(Value):
    """How far the router's records were read."""

    epoch: str
    after: int


class ReleaseProposal(Value):
    """The pull request that asks for a rollout's approval: merging it approves."""

    seen: str | None
    """The last commit of the environment's file when it was opened or updated."""
    pull: int | None = None
    """Its number; None until it is open."""
    url: str = ""
    failed: float | None = None
    """When opening it failed. It is tried again after a while."""


class Warm(Value):
    """The version that a blue-green switch replaced: its server keeps running, without traffic."""

    version: Ref
    rollout: str
    """The rollout that switched."""
    until: float
    """When its server may end, in seconds since the epoch."""
    before: FormerCounts = FormerCounts()
    """Its record before the switch, as far as the router remembers."""
    cursor: Cursor | None = None
    watched: SwitchWatch | None = None
    """How the new version is doing; None until it has the traffic."""


class Rollout(Value):
    """What is stored of a rollout."""

    id: str
    version: Ref
    kind: Kind
    why: str
    by: str
    asked: float
    run: str = ""
    """The run that released the version, if one did, and its commit."""
    commit: str = ""
    approval: bool = False
    """Whether a person has to approve it first."""
    approved: float | None = None
    proposal: ReleaseProposal | None = None
    points: bool = False
    """Whether it has no server, because its release is a batch."""
    deployed: float | None = None
    ready: float | None = None
    smoke_asked: float | None = None
    smoke: Report | None = None
    step: int = -1
    """Index of the weight in force; -1 while the canary gets no traffic."""
    step_since: float = 0.0
    step_seq: int = 0
    """How many canary requests there were before this step."""
    cursor: Cursor | None = None
    before: FormerCounts | None = None
    """With `blue-green`: the record of stable before the switch."""
    judge: CanaryState | None = None
    judgement: Judgement | None = None
    forecast: str | None = None
    """Why it was expected, when the canary began, not to be decided by its deadline; if it was."""
    first_failed: float | None = None
    """When the first request came that the canary failed to answer."""
    doubted: float | None = None
    """Since when the evidence has been against the canary, without a break."""
    unheard: str = ""
    """Why nothing was known of the traffic at the last look; empty if something was."""
    unwatched: float | None = None
    """When the router last took its traffic away because no controller was watching."""
    held: str | None = None
    """Why a person has to decide."""
    differs: bool = False
    """Whether its answers differed from stable's. From then on only a person promotes it."""
    decided: float | None = None
    """When it was decided to promote it."""
    undecided: str | None = None
    """What to say if it was promoted without a decision, as `on_inconclusive: promote` allows."""

    @property
    def has_server(self) -> bool:
        """Whether its server is running or being started."""
        return self.deployed is not None and not self.points

    @property
    def awaiting_approval(self) -> bool:
        """Whether a person still has to approve it."""
        return self.approval and self.approved is None

    def phase(self, spec: Spec, environment: str, *, has_stable: bool) -> Phase:
        """Its phase. There is a canary only for a release to production beside a stable version,
        unless the spec has another strategy."""
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
        """Why it cannot be promoted now, in a sentence; None if it can."""
        if self.awaiting_approval:
            url = self.proposal.url if self.proposal else ""
            merge = f", and so does merging {url}" if url else ""
            number = self.version.version
            return f"v{number} awaits approval; `headgate approve` approves it{merge}."
        if self.ready is None:
            return f"the server of v{self.version.version} is not ready yet; try again when it is."
        return None


class EndedRollout(Value):
    """How a rollout ended: a fact of the release history."""

    rollout: Rollout
    environment: str
    pipeline: str
    outcome: RolloutOutcome
    reason: str
    at: float
    beside: Ref | None = None
    """What was stable until it ended."""


def smoke_of(spec: Spec) -> bool:
    """Whether the spec has smoke requests, or a batch command, to test a release in staging."""
    return bool(spec.release and spec.release.staging.smoke) or bool(command_of(spec))


def strategy_of(spec: Spec) -> Strategy:
    """How a release gets production's traffic."""
    return spec.release.production.strategy if spec.release else "canary"


def weights(version: ModelVersion) -> tuple[float, ...]:
    """The canary's shares of the traffic, in ascending order."""
    assert version.spec.release is not None
    return tuple(version.spec.release.production.canary.steps)


def begin_canary(
    rollout: Rollout, version: ModelVersion, history: Traffic | None, now: float
) -> Rollout:
    """Fix the judge's policy and take the first weight. `history` is the traffic so far."""
    assert version.spec.release is not None
    canary = version.spec.release.production.canary
    policy = CanaryPolicy.from_spec(canary)
    if history is not None and history.counted:
        state = begin_counting(policy, history.windows, now, history.split)
        rate = pace_of_windows(history.windows, now)
    else:
        known = history.exchanges if history is not None else ()
        state = begin(policy, known, now, history.split if history is not None else None)
        rate = pace(known, now)
    ahead = outlook(state, rate, weights(version))
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


def has_judge(rollout: Rollout) -> bool:
    """Whether its judge has begun. A judge of an earlier Headgate does not count: it recorded less,
    so that such a canary has to begin again."""
    return rollout.judge is not None and is_current(rollout.judge)


def watch(rollout: Rollout, traffic: Traffic | None, now: float) -> Rollout:
    """Judge new records or windows, and the requests still waiting for an answer. What is from
    before the canary began is left out: it may be an earlier canary's.
    """
    assert rollout.judge is not None
    began, traffic = rollout.judge.began, traffic or Traffic(epoch="")
    new = [each for each in traffic.exchanges if each.at >= began]
    windows = [each for each in traffic.windows if each.start >= began]
    state = update(_as_it_splits(rollout.judge, traffic), new)
    if state.counted:
        state = count(state, windows)
    judgement = judge(state, now, traffic.waiting)
    classed = rollout.judge.policy.classed
    canary = (each for each in new if each.arm is Arm.CANARY)
    failed = [each.at for each in canary if classed(each.status) == "errors"]
    failed += [each.start for each in windows if each.canary.errors]
    return rollout.model_copy(
        update={
            "judge": state,
            "judgement": judgement,
            "differs": rollout.differs or judgement.decision is CanaryDecision.HOLD,
            "first_failed": rollout.first_failed or min(failed, default=None),
            "doubted": (rollout.doubted or now) if judgement.log_worse > 0 else None,
        }
    )


def _as_it_splits(state: CanaryState, traffic: Traffic) -> CanaryState:
    """The judge's state with how the target assigns requests and what it gives of them, where it
    could not be asked when the canary began."""
    if traffic.counted and not state.counted and not state.strata:
        return begin_counting(state.policy, (), state.began, traffic.split)
    if state.split is None and traffic.split is not None:
        return state.model_copy(update={"split": traffic.split})
    return state


def grow(rollout: Rollout, version: ModelVersion, now: float) -> Rollout:
    """Take the next weight once this one has baked."""
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
    """Whether the current weight had requests, and its share of the minimum bake time."""
    assert version.spec.release is not None
    canary = version.spec.release.production.canary
    share = canary.minimum_bake.total_seconds() / len(canary.steps)
    seen = _canary_requests(rollout) > rollout.step_seq
    return seen and now - rollout.step_since >= share


def extended(rollout: Rollout, seconds: float) -> Rollout:
    """The rollout with more time to bake and to decide: so long had its canary no traffic."""
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
    """Whether the judge says so, at the last weight."""
    at_last = rollout.step + 1 == len(weights(version)) and has_baked(rollout, version, now)
    return (
        at_last
        and rollout.judgement is not None
        and (rollout.judgement.decision is CanaryDecision.PROMOTE)
    )


def blocks_undecided(rollout: Rollout) -> str | None:
    """Why a canary is not promoted without a decision although the spec allows that; None if it is.
    A spec can waive missing evidence, but not evidence against a version, or one never tried."""
    judgement = rollout.judgement
    if judgement is None or not judgement.canary.requests:
        return "no request has reached it, and an untried version is never promoted"
    if judgement.records_lost:
        return "some of its records are lost"
    if judgement.uncompared:
        return f"it could not be compared with stable: {judgement.undrawn}"
    if rollout.differs:
        return "its answers differ from stable's"
    if judgement.log_worse >= log(DOUBTFUL):
        return f"the evidence is against it, {odds(judgement.log_worse)} to 1"
    return None


def _canary_requests(rollout: Rollout) -> int:
    return rollout.judge.requests(Arm.CANARY) if rollout.judge else 0
