"""PURE. An environment of a pipeline: what runs there, and why."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from controller.machine.actions import Deploy, Origin, WriteEnvironment
from controller.machine.core import Fact, Key, Value
from controller.machine.decision_builder import DecisionBuilder
from controller.machine.environments.file import EnvironmentFile, LastChange, NamedModel
from controller.machine.environments.file import QuarantineEntry as QuarantinedDigest
from controller.machine.environments.job import BatchJob, ObservedJob
from controller.machine.environments.rollout import EndedRollout, Rollout, Warm, weights
from controller.machine.messages import ReleaseRequested
from controller.machine.pipelines.version import ModelVersion, Quarantined, Ref
from controller.machine.runs.data_exceptions import evidence_of
from deployers.protocol import Deployed, Traffic
from specs.digests import short
from specs.notifications import Notification
from validators.verdict import Verdict

ROUNDED = 0.005
"""A target may round a weight to a whole percent: by half a point at most."""
REMEMBERED = 20
"""How many former versions are remembered as healthy."""


class EnvironmentState(Value):
    """What is stored of one environment of one pipeline."""

    pipeline: str
    name: str
    repository: str
    stable: Ref | None = None
    points: bool = False
    """Whether stable has no server, because its release is a batch."""
    job: BatchJob | None = None
    """The latest run of its batch command."""
    jobs: int = 0
    """How many batch jobs there have been."""
    stable_rollout: str | None = None
    """The id of the rollout that promoted the stable version."""
    former: tuple[Ref, ...] = ()
    """Healthy versions that served here before, newest first."""
    rollout: Rollout | None = None
    warm: Warm | None = None
    """The version that the last blue-green switch replaced, while its server is kept."""
    stopped: Rollout | None = None
    """The last rollout that was not promoted: what `retry` tries again."""
    quarantine: tuple[Quarantined, ...] = ()
    pinned: str | None = None
    """The commit in which a person pinned what runs. Releases are deferred meanwhile."""
    acted_on: str | None = None
    """The last commit of the environment's file that was acted on."""
    named_in_file: Ref | None = None
    """The version that the file names, as of `acted_on`."""
    listed: tuple[str, ...] = ()
    """The digests that the file lists as quarantined, as of `acted_on`."""
    unread: bool = False
    """Whether the branch still has to be looked at: the remote could not be asked, or what was seen
    of it was older than a commit of our own."""
    write: WriteEnvironment | None = None
    """The commit that is still to be made on the environments branch."""
    unwritten_since: float | None = None
    """Since when that commit has been missing."""
    unknown: str | None = None
    """Why nothing is released: the branch names a version that this state does not know."""
    unknown_server: bool = False
    """Whether what runs there was started before the state was lost. It keeps serving until a
    release is ready to replace it."""
    lost_history: str | None = None
    """What was reported when somebody force-pushed or deleted the branch."""
    deferred_release: ReleaseRequested | None = None
    """The newest release that came while a pin, or a person's rollout, kept it out."""
    deploy: Deploy | None = None
    """The last deployment that was asked for."""
    refused: float | None = None
    """When that deployment failed for good. It is asked for again after a while."""
    paused: str | None = None
    unready_since: float | None = None
    """Since when stable has not been ready."""
    alerts: tuple[str, ...] = ()
    notified: Mapping[str, tuple[str, ...]] = {}
    """By alert, the addresses that the spec named when it fired. They are told when it ends."""
    rollouts: int = 0

    @property
    def place(self) -> str:
        """The environment's name everywhere: `flight-delay/production`."""
        return f"{self.pipeline}/{self.name}"

    @property
    def has_server(self) -> bool:
        """Whether stable has a server, so that a canary can run beside it."""
        return self.stable is not None and not self.points

    def quarantined(self, digest: str) -> Quarantined | None:
        """Why the digest may not be released, or None."""
        return next((q for q in self.quarantine if q.digest == digest), None)


class Branch(Value):
    """The environment's file at the head of the environments branch."""

    commit: str
    """The last commit that touched it."""
    ours: bool
    """Whether the controller made that commit."""
    rollout: int = 0
    """The number of the rollout that the controller made it for; 0 for other commits."""
    author: str = ""
    subject: str = ""
    file: EnvironmentFile | None = None
    """None if the file is gone or cannot be read."""
    problem: str | None = None
    proposal: str | None = None
    """The rollout whose pull request was merged as this commit."""


class Proposed(Value):
    """The pull request of a rollout that awaits approval, as last seen."""

    pull: int
    state: Literal["open", "closed", "merged"]
    by: str = ""
    """Who closed or merged it, if known."""
    landed: bool = False
    """Whether the merge is contained in `Branch`, or in what was acted on."""


class LostHistory(Value):
    """The last commit that was acted on is no longer on the branch."""

    was: str
    now: str | None
    """Where the branch is. None if it was deleted, even if Headgate has recreated it since."""
    left_out: tuple[str, ...] = ()
    """Commits of the environment's file that are gone: id, author and subject."""
    news: bool = False
    """Whether the file's newest commit is a person's and has not been acted on."""


class PastReleases(Value):
    """What the branch says of an environment that the state does not know."""

    commit: str
    """The last of our own commits that changed its file."""
    file: EnvironmentFile
    """As of that commit."""
    named: tuple[Ref, ...] = ()
    """The versions that our own commits named, newest first. All of them served there."""
    versions: Mapping[int, ModelVersion] = {}
    """Those that can still be served."""
    lacking: Mapping[int, str] = {}
    """Why the others cannot, by number."""
    rollouts: int = 0
    """The highest rollout number among those commits."""


class ObservedEnvironment(Value):
    """What was observed of an environment."""

    versions: Mapping[int, ModelVersion] = {}
    """The versions that `needs` names, if they exist, by number."""
    deployed: Deployed = Deployed()
    traffic: Traffic | None = None
    unheard: str = ""
    """Why nothing is known of the traffic that should be."""
    branch: Branch | None = None
    """None also if it was not looked at, and counts as unchanged then."""
    unread: bool = False
    """Whether it should have been looked at, and the remote could not be asked."""
    lost_history: LostHistory | None = None
    past: PastReleases | None = None
    """Only read where the state does not know the environment."""
    port: int | None = None
    """The port that the settings give its router, if any."""
    proposes: bool = False
    """Whether releases can be proposed as pull requests there."""
    proposal: Proposed | None = None
    job: ObservedJob | None = None
    """How the running batch job is doing."""
    due: float | None = None
    """When stable's batch schedule last came, if that was after the last job."""
    next_due: float | None = None
    """When it comes next."""
    origins: Mapping[int, Origin] = {}
    """The commit of the version that is being rolled out, if it could be read."""
    everyone: tuple[Notification, ...] = ()
    """The `notify` entries of the settings, for every pipeline."""


class RolloutDecisionBuilder(DecisionBuilder):
    """A `DecisionBuilder` that also collects how rollouts ended."""

    def __init__(self, everyone: Sequence[Notification] = ()) -> None:
        super().__init__(everyone)
        self.ended: list[EndedRollout] = []

    def end(self, ended: EndedRollout) -> None:
        """Record how a rollout ended."""
        self.ended.append(ended)
        body = ended.plain()
        self.facts.append(Fact(key=Key("rollout", ended.rollout.id), body=body))


class EnvironmentContext(NamedTuple):
    """What every step of one reconcile of an environment is given."""

    observed: ObservedEnvironment
    out: RolloutDecisionBuilder
    now: float
    """In seconds since the epoch."""

    def version(self, ref: Ref | None) -> ModelVersion | None:
        """The model version, if there is one."""
        return self.observed.versions.get(ref.version) if ref is not None else None


def server_name(place: str, version: Ref) -> str:
    """The name of a version's server in an environment: `flight-delay-production-v3-0f5a8c21d9e4`.

    The digest is part of it: if a number is ever used twice, the two models get two servers.
    """
    return f"{place.replace('/', '-')}-v{version.version}-{short(version.digest)}"


def desired(env: EnvironmentState, versions: Mapping[int, ModelVersion]) -> Deploy:
    """What should run there now. There is no canary beside an unknown server: it keeps all traffic
    until the new version is ready to take all of it."""
    rollout = env.rollout
    canary = rollout if rollout and rollout.has_server else None
    if canary is not None and env.unknown_server and env.stable is None:
        return Deploy(
            pipeline=env.pipeline,
            environment=env.name,
            stable=canary.version.version,
            attempt=canary.id,
        )
    stable = env.stable if not env.points else None
    if canary is None and env.warm is not None and stable is not None:
        return Deploy(
            pipeline=env.pipeline,
            environment=env.name,
            stable=stable.version,
            canary=env.warm.version.version,
            attempt=env.warm.rollout,
        )
    weight = 0.0
    if canary and canary.step >= 0 and canary.version.version in versions:
        weight = weights(versions[canary.version.version])[canary.step]
    return Deploy(
        pipeline=env.pipeline,
        environment=env.name,
        stable=stable.version if stable else None,
        canary=canary.version.version if canary else None,
        canary_weight=weight,
        attempt=canary.id if canary else "",
        closed=env.points and canary is None,
    )


def converge(env: EnvironmentState, observed: ObservedEnvironment) -> Deploy | None:
    """The deployment that is due, if what runs is not what should run.

    Where this state never released anything, nothing is touched: what runs there may be from a
    state that was lost.
    """
    if env.stable is None and env.rollout is None and (env.unknown_server or not env.rollouts):
        return None
    want, have = desired(env, observed.versions), observed.deployed
    beside = env.rollout if env.rollout and env.rollout.has_server else env.warm
    canary_of = beside.version if beside and want.canary is not None else None
    stable_of = env.stable if not env.points else None
    if stable_of is None and env.rollout is not None and want.stable is not None:
        stable_of = env.rollout.version
    stable = server_name(env.place, stable_of) if stable_of else None
    canary = server_name(env.place, canary_of) if canary_of else None
    wanted = [name for name in (stable, canary) if name]
    servers = {server.name: server for server in have.servers}
    as_wanted = (
        have.stable == stable
        and have.canary == canary
        and _in_effect(have.canary_weight, want.canary_weight, _shares(env, observed.versions))
        and have.configured
        and all(name in servers and servers[name].alive for name in wanted)
        and not (stable and servers[stable].hung)
        and (not wanted or have.address is not None)
        and not (want.closed and have.address is not None)
        and _answers_at(have.address, observed.port)
        and servers.keys() <= set(wanted)
    )
    return None if as_wanted else want


def _shares(env: EnvironmentState, versions: Mapping[int, ModelVersion]) -> Sequence[float]:
    """The weights that the canary may have."""
    found = versions.get(env.rollout.version.version) if env.rollout is not None else None
    return weights(found) if found is not None and found.spec.release is not None else ()


def _in_effect(have: float, want: float, shares: Sequence[float]) -> bool:
    """Whether a target has the weight that it should, as far as it can: it may round, but not to
    none or from none, and not so that another of the canary's weights would be nearer."""
    if not have or not want:
        return have == want
    apart = abs(have - want)
    return apart <= ROUNDED and all(apart <= abs(have - other) for other in shares)


def _answers_at(address: str | None, port: int | None) -> bool:
    return address is None or port is None or address.endswith(f":{port}")


def named_version(file: EnvironmentFile | None) -> Ref | None:
    """The version that a file names."""
    model = file.model if file else None
    return Ref(version=model.version, digest=model.digest) if model else None


def quarantine_in(file: EnvironmentFile) -> tuple[Quarantined, ...]:
    """What a file lists as quarantined. An entry that a person wrote may lack the number."""
    return tuple(
        Quarantined(
            version=q.version or 0, digest=q.digest, reason=q.reason, since=q.since.timestamp()
        )
        for q in file.quarantine
    )


def file_of(
    env: EnvironmentState,
    ref: Ref | None,
    version: ModelVersion | None,
    *,
    by: str,
    reason: str,
    at: float,
    verdicts: Mapping[str, Verdict] | None = None,
    evidence: tuple[Mapping[str, Any], ...] = (),
) -> EnvironmentFile:
    """The environment's file with that version as its model."""
    model = None
    if ref is not None and version is not None:
        model = NamedModel(
            version=ref.version,
            digest=ref.digest,
            run=version.run,
            commit=version.source.commit,
            artifact=version.model,
            datasets=version.datasets,
        )
    return EnvironmentFile(
        pipeline=env.pipeline,
        environment=env.name,
        model=model,
        pinned=env.pinned is not None,
        verdicts={**(version.verdicts if version else {}), **(verdicts or {})},
        evidence=(*_exceptions(version), *evidence),
        quarantine=tuple(
            QuarantinedDigest(
                digest=q.digest, version=q.version, reason=q.reason, since=moment(q.since)
            )
            for q in env.quarantine
        ),
        changed=LastChange(by=by, reason=reason, at=moment(at)),
    )


def _exceptions(version: ModelVersion | None) -> tuple[Mapping[str, Any], ...]:
    return evidence_of(version.accepted_versions, version.fallbacks) if version else ()


def moment(seconds: float) -> datetime:
    """A time as the file has it, to the millisecond."""
    return datetime.fromtimestamp(round(seconds, 3), UTC)


def with_rollout(env: EnvironmentState, rollout: Rollout, **facts: Any) -> EnvironmentState:
    """The environment with its rollout changed."""
    return env.model_copy(update={"rollout": rollout.model_copy(update=facts)})
