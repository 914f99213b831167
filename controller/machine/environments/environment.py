"""PURE. An environment of a pipeline: the facts of what runs there and why."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

from controller.machine.actions import Deploy, Origin, WriteEnvironment
from controller.machine.building import DecisionBuilder
from controller.machine.core import Fact, Key, Value
from controller.machine.environments.file import EnvironmentFile, LastChange, NamedModel
from controller.machine.environments.file import QuarantineEntry as QuarantinedDigest
from controller.machine.environments.job import BatchJob, ObservedJob
from controller.machine.environments.rollout import EndedRollout, Rollout, Warm, weights
from controller.machine.messages import ReleaseRequested
from controller.machine.pipelines.version import ModelVersion, Quarantined, Ref
from deployers.protocol import Deployed, Traffic
from specs.digests import short
from specs.notifications import Notification
from validators.verdict import Verdict

REMEMBERED = 20
"""How many former versions are kept as known to be healthy."""


class EnvironmentState(Value):
    """The facts of one environment of one pipeline."""

    pipeline: str
    name: str
    repository: str
    stable: Ref | None = None
    points: bool = False
    """Whether no server answers for stable, as its release is a batch."""
    job: BatchJob | None = None
    """The last run of its batch command."""
    jobs: int = 0
    """How many there were."""
    brought: str | None = None
    """The id of the rollout by which the last stable version came."""
    former: tuple[Ref, ...] = ()
    """Versions that served here before and were healthy, newest first."""
    rollout: Rollout | None = None
    warm: Warm | None = None
    """What the last switch left, for as long as its server is kept."""
    stopped: Rollout | None = None
    """The last one that did not end in a promotion: what `retry` tries again."""
    quarantine: tuple[Quarantined, ...] = ()
    pinned: str | None = None
    """By which commit a human keeps what runs; releases are refused meanwhile."""
    acted_on: str | None = None
    """The last commit of the environment's file that was acted on."""
    says: Ref | None = None
    """What the file names, as of `acted_on`."""
    listed: tuple[str, ...] = ()
    """The digests that the file lists as quarantined, as of `acted_on`."""
    write: WriteEnvironment | None = None
    """What the branch does not say yet."""
    owed_since: float | None = None
    """Since when the branch does not say what it should."""
    unknown: str | None = None
    """Why nothing is released: the branch names what this state does not know."""
    stranger: bool = False
    """Whether what runs there is of a state that was lost: it serves on until a release, which
    takes its place, is ready."""
    lost: str | None = None
    """What became of the branch when somebody pushed over it or deleted it, and it was told."""
    deferred_release: ReleaseRequested | None = None
    """The newest release that came while a person's word forbade it."""
    deploy: Deploy | None = None
    """The deployment that was asked for last."""
    refused: float | None = None
    """When that deployment failed for good; it is asked for again after a while."""
    paused: str | None = None
    unready_since: float | None = None
    """Since when stable does not answer as ready."""
    alerts: tuple[str, ...] = ()
    told: Mapping[str, tuple[str, ...]] = {}
    """By alert, the addresses that the specs named when it fired: they hear of its end."""
    rollouts: int = 0

    @property
    def place(self) -> str:
        """The environment's name everywhere: `flight-delay/production`."""
        return f"{self.pipeline}/{self.name}"

    @property
    def has_server(self) -> bool:
        """Whether a server answers for stable, beside which a canary can be."""
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
    """The number of the rollout that the controller made it for, where it did."""
    author: str = ""
    subject: str = ""
    file: EnvironmentFile | None = None
    """None: the file is gone, or cannot be read."""
    problem: str | None = None
    proposal: str | None = None
    """The rollout whose proposal that commit was, before somebody merged it."""


class Proposed(Value):
    """The pull request of a rollout that waits, as it was seen."""

    pull: int
    state: Literal["open", "closed", "merged"]
    by: str = ""
    """Who closed or merged it, where that is known."""
    landed: bool = False
    """Whether `Branch`, or a commit that was acted on, comes after the merge."""


class LostHistory(Value):
    """The last commit that was acted on is not on the branch any more."""

    was: str
    now: str | None
    """Where the branch is; None: it was deleted, though Headgate may have begun it again since."""
    left_out: tuple[str, ...] = ()
    """The commits of the environment's file that are gone with it: id, author and subject."""
    news: bool = False
    """Whether the file's last commit there is a person's, and was never acted on."""


class PastReleases(Value):
    """What the branch says of an environment that the state knows nothing of."""

    commit: str
    """The last commit of ours that changed its file."""
    file: EnvironmentFile
    """As of that commit."""
    named: tuple[Ref, ...] = ()
    """The versions that commits of ours named, newest first: they have served there."""
    versions: Mapping[int, ModelVersion] = {}
    """Those of them that can be had again."""
    lacking: Mapping[int, str] = {}
    """Why the others cannot."""
    rollouts: int = 0
    """The highest number of a rollout among their commits."""


class ObservedEnvironment(Value):
    """What the world says of an environment."""

    versions: Mapping[int, ModelVersion] = {}
    """Every version that the state, a message or the branch names, where it exists."""
    deployed: Deployed = Deployed()
    traffic: Traffic | None = None
    branch: Branch | None = None
    lost: LostHistory | None = None
    past: PastReleases | None = None
    """Looked for only where the state knows nothing of the environment."""
    port: int | None = None
    """Where it has to answer, if the settings say so."""
    proposes: bool = False
    """Whether a release can be proposed as a pull request there."""
    proposal: Proposed | None = None
    job: ObservedJob | None = None
    """How the job that goes on fares."""
    due: float | None = None
    """When the schedule of stable's batch last came, if it did since the last job."""
    origins: Mapping[int, Origin] = {}
    """The commit of the version that is on its way, where it can be read."""
    everyone: tuple[Notification, ...] = ()
    """The settings' entries, who are told of every pipeline."""


class RolloutDecisionBuilder(DecisionBuilder):
    """Gathers also how rollouts ended."""

    def __init__(self, everyone: Sequence[Notification] = ()) -> None:
        super().__init__(everyone)
        self.ended: list[EndedRollout] = []

    def end(self, ended: EndedRollout) -> None:
        """Keep how a rollout ended."""
        self.ended.append(ended)
        body = ended.model_dump(mode="json")
        self.facts.append(Fact(key=Key("rollout", ended.rollout.id), body=body))


class EnvironmentContext(NamedTuple):
    """What one reconcile of an environment carries."""

    observed: ObservedEnvironment
    out: RolloutDecisionBuilder
    now: float
    """In seconds since the epoch."""


def server_name(place: str, version: Ref) -> str:
    """The name of a version's server in an environment: `flight-delay-production-v3-0f5a8c21d9e4`.

    One digest, one server: should a number ever come twice, its two models are two servers.
    """
    return f"{place.replace('/', '-')}-v{version.version}-{short(version.digest)}"


def desired(env: EnvironmentState, versions: Mapping[int, ModelVersion]) -> Deploy:
    """What should run there now. Beside a stranger there is no canary, since nobody knows what it
    is: the new version gets all traffic once it is ready, and until then the stranger keeps it."""
    rollout = env.rollout
    canary = rollout if rollout and rollout.has_server else None
    if canary is not None and env.stranger and env.stable is None:
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


def converge(env: EnvironmentState, observed: ObservedEnvironment) -> Sequence[Deploy]:
    """The deployment that is owed, if what runs is not what should.

    Where nothing was ever released by this state, nothing is touched: what runs there may be of a
    state that was lost.
    """
    if env.stable is None and env.rollout is None and (env.stranger or not env.rollouts):
        return ()
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
        and have.canary_weight == want.canary_weight
        and have.configured
        and all(name in servers and servers[name].alive for name in wanted)
        and not (stable and servers[stable].hung)
        and (not wanted or have.address is not None)
        and not (want.closed and have.address is not None)
        and _answers_at(have.address, observed.port)
        and servers.keys() <= set(wanted)
    )
    return () if as_wanted else (want,)


def _answers_at(address: str | None, port: int | None) -> bool:
    return address is None or port is None or address.endswith(f":{port}")


def named(file: EnvironmentFile | None) -> Ref | None:
    """The version that a file names."""
    model = file.model if file else None
    return Ref(version=model.version, digest=model.digest) if model else None


def quarantined(file: EnvironmentFile) -> tuple[Quarantined, ...]:
    """What a file lists as quarantined; a person may have left out the number."""
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
    """The environment's file, as it should read from now on."""
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
        evidence=evidence,
        quarantine=tuple(
            QuarantinedDigest(
                digest=q.digest, version=q.version, reason=q.reason, since=moment(q.since)
            )
            for q in env.quarantine
        ),
        changed=LastChange(by=by, reason=reason, at=moment(at)),
    )


def moment(seconds: float) -> datetime:
    """A time as the file says it, to the millisecond."""
    return datetime.fromtimestamp(round(seconds, 3), UTC)


def moved(env: EnvironmentState, rollout: Rollout, **facts: Any) -> EnvironmentState:
    """The environment with new facts of its rollout."""
    return env.model_copy(update={"rollout": rollout.model_copy(update=facts)})
