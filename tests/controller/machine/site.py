"""A model of the world around one environment: its outbox, its branch in git, its servers.

It does with actions what the loop, git and the deployer do, in memory and on a clock of its own,
so that a story of hours takes milliseconds and can go wrong at any point.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from controller.machine.actions import Deploy, Notify, Origin, RunSmoke, WriteEnvironment
from controller.machine.core import Action, Decision, Envelope, Fact, InboxMessage, Key, parsed
from controller.machine.environments import promotion
from controller.machine.environments.environment import (
    Branch,
    EnvironmentState,
    LostHistory,
    ObservedEnvironment,
    PastReleases,
    named_version,
    server_name,
)
from controller.machine.environments.file import EnvironmentFile, NamedModel, QuarantineEntry
from controller.machine.environments.needs import Needs, TrafficNeed, needs, needs_branch
from controller.machine.messages import (
    MESSAGES,
    ActionFailed,
    EnvironmentMoved,
    EnvironmentWritten,
    SmokeDone,
)
from controller.machine.pipelines.version import ModelVersion, Ref
from deployers.protocol import Deployed, ServerStatus, Silence, Traffic
from specs.traffic import Arm, Exchange
from tests.controller.machine.kit import report, sha
from tests.controller.machine.observed_transitions import (
    assert_unchanged_by_json,
    watch_environment,
)
from validators.verdict import Verdict

S = TypeVar("S", bound="Site")
BY_HAND: dict[str, Any] = {"reason": "a person knows", "since": datetime(2026, 1, 1, tzinfo=UTC)}
WriteMode = Literal["works", "is down", "pushes and dies", "is refused"]


@dataclass
class Commit:
    """A commit of the environment's file. `file` is None for a file that cannot be read."""

    sha: str
    file: EnvironmentFile | None
    action: str | None = None
    """The trailer of our own commits."""


@dataclass
class Site:
    """The environment `mean/<name>` and its surroundings, which `reconcile` moves on."""

    versions: Mapping[int, ModelVersion]
    name: str = "production"
    now: float = 1000.0
    state: EnvironmentState | None = None
    commits: list[Commit] = field(default_factory=list)
    gone: list[Commit] = field(default_factory=list)
    """Commits that are no longer on the branch."""
    writes: WriteMode = "works"
    refuses_deploys: bool = False
    never_ready: set[int] = field(default_factory=set)
    faulty: set[int] = field(default_factory=set)
    """Versions that answer with 500."""
    refusing: set[int] = field(default_factory=set)
    """Versions that answer with 422."""
    pages: set[int] = field(default_factory=set)
    """Versions that answer with an HTML page."""
    fails_smoke: set[int] = field(default_factory=set)
    load: int = 20
    """Requests per reconcile."""
    lacking: dict[int, str] = field(default_factory=dict)
    """Why versions cannot be restored, once the state is lost."""
    fresh: set[str] = field(default_factory=set)
    """Commits that came after somebody force-pushed."""
    silence: Silence | None = None
    """Set it: the router takes the canary's traffic, until a deployment after that."""
    fetched: int = 0
    """How many of the commits the mirror has: a push does not fetch."""
    told: int = 0
    """How many commits there had been when the branch was last said to have moved."""

    outbox: dict[str, tuple[int, Action]] = field(default_factory=dict)
    inbox: list[InboxMessage] = field(default_factory=list)
    sent: list[Envelope] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    notified: list[Notify] = field(default_factory=list)
    ready: dict[int, bool] = field(default_factory=dict)
    """Versions whose servers are alive, and whether they are ready."""
    deployed: Deploy | None = None
    exchanges: list[Exchange] = field(default_factory=list)
    deploys: list[Deploy] = field(default_factory=list)
    last: Decision[EnvironmentState] | None = None
    _delivered: set[str] = field(default_factory=set)
    _numbers: int = 0

    @property
    def key(self) -> Key:
        return Key("environment", f"mean/{self.name}")

    @property
    def env(self) -> EnvironmentState:
        assert self.state is not None
        return self.state

    @property
    def serves(self) -> int | None:
        return self.state.stable.version if self.state and self.state.stable else None

    @property
    def file(self) -> EnvironmentFile | None:
        return self.commits[-1].file if self.commits else None

    @property
    def subjects(self) -> list[str]:
        return [c.action or "by hand" for c in self.commits]

    def alerts(self, status: str) -> list[str]:
        return [n.alert for n in self.notified if n.status == status]

    # -- what people and other machines do -----------------------------------------------------

    def send(self, type_: str, **body: Any) -> None:
        """Put a message into the inbox."""
        self._numbers += 1
        said = parsed(MESSAGES[type_], body)
        self._deliver(Envelope(to=self.key, id=f"sent/{self._numbers}", message=said))

    def release(self, number: int) -> None:
        """Send a release of a version."""
        digest = self.versions[number].digest
        self.send("release", version=number, digest=digest, repository="team", why="it passed")

    def edit(
        self, *, version: int | None, pinned: bool = False, digest: str = "", lifts: bool = False
    ) -> str:
        """A person writes the file; the commit's id. `version=None` is `model: null`. The list of
        what is quarantined stays as it is there, or with `lifts` is emptied."""
        model = None
        if version is not None:
            known = self.versions.get(version)
            model = NamedModel(
                version=version,
                digest=digest or (known.digest if known else "sha256:" + "0" * 64),
                run="mean-1",
                commit=sha("c1"),
            )
        listed = () if lifts or self.file is None else self.file.quarantine
        file = EnvironmentFile(
            pipeline="mean",
            environment=self.name,
            model=model,
            pinned=pinned,
            quarantine=listed,
        )
        return self._commit(file)

    def put_on_the_list(self, number: int) -> str:
        """A person quarantines a version in the file."""
        assert self.file is not None
        bad = QuarantineEntry(digest=self.versions[number].digest, version=number, **BY_HAND)
        listed = (*self.file.quarantine, bad)
        return self._commit(self.file.model_copy(update={"quarantine": listed}))

    def push_over(self, keep: int) -> None:
        """A person force-pushes the branch: only its first commits stay."""
        self.gone += self.commits[keep:]
        self.commits = self.commits[:keep]
        self.fetched = keep
        self.send("branch_moved", repository="team")

    def lose_the_state(self) -> None:
        """The state, the inbox and the outbox are gone; the world is as it was."""
        self.state, self.outbox, self.inbox = None, {}, []
        self._delivered.clear()
        self.send("branch_moved", repository="team")

    def garble(self) -> str:
        """A person leaves a file that cannot be read."""
        return self._commit(None)

    def revert(self) -> str:
        """A person reverts the newest commit."""
        return self._commit(self.commits[-2].file if len(self.commits) > 1 else None)

    # -- reconciling -----------------------------------------------------------------------------

    def run(self, times: int = 30, dt: float = 1.0) -> None:
        """Reconcile that many times."""
        for _ in range(times):
            self.reconcile(dt)

    def reconcile(self, dt: float = 1.0, *, apply: bool = True) -> Decision[EnvironmentState]:
        """Observe, decide, save, and apply the outbox."""
        self.now += dt
        self._live()
        observed = self.observe()
        decision = promotion.decide(self.state, observed, tuple(self.inbox), self.now)
        watch_environment(self.state, decision, observed)
        self.fetched = len(self.commits)
        self.save(decision)
        self._tell()
        if apply:
            self.apply()
        return decision

    def _tell(self) -> None:
        """Say that the branch moved, as the repository does once it has fetched it."""
        moves = len(self.commits) + len(self.gone)
        if moves != self.told:
            self.told = moves
            self.send("branch_moved", repository="team")

    def save(self, decision: Decision[EnvironmentState]) -> None:
        self.last = decision
        self.inbox.clear()
        self.state = parsed(EnvironmentState, decision.state.plain())
        assert_unchanged_by_json(decision)
        self.outbox = {
            i: (n, a) for i, (n, a) in self.outbox.items() if a.lane not in decision.withdraw
        }
        for action in decision.actions:
            self._numbers += 1
            self.outbox.setdefault(action.id_for(self.key), (self._numbers, action))
        self.facts += decision.facts
        for message in decision.messages:
            if message.to == self.key:
                self._deliver(message)
            elif message.id not in self._delivered:
                self._delivered.add(message.id)
                self.sent.append(message)

    def needs(self, branch: Branch | None) -> Needs:
        return needs(self.state, self.inbox, branch)

    def observe(self) -> ObservedEnvironment:
        """What the machine needs to see, and no more."""
        looks = needs_branch(self.state, self.inbox)
        branch, lost = self._branch() if looks else (None, None)
        need = self.needs(branch)
        past = self._past() if need.past else None
        known = {n: v for n, v in self.versions.items() if n in need.versions}
        return ObservedEnvironment(
            versions={**(past.versions if past else {}), **known},
            deployed=self._deployed(),
            traffic=self._traffic(need.traffic) if need.traffic else None,
            branch=branch,
            lost_history=lost,
            past=past,
            origins={n: Origin(commit=known[n].source.commit) for n in need.origins if n in known},
        )

    def apply(self) -> None:
        """Apply the outbox, each lane in order; a lane that fails waits."""
        stuck: set[str] = set()
        for id_, (number, action) in sorted(self.outbox.items(), key=lambda item: item[1][0]):
            if action.lane in stuck:
                continue
            outcome = self._effect(action)
            if outcome is None:
                stuck.add(action.lane)
                continue
            del self.outbox[id_]
            for message in outcome:
                self._deliver(message.model_copy(update={"id": f"{message.id}#{number}"}))

    def _effect(self, action: Action) -> list[Envelope] | None:
        if isinstance(action, Notify):
            self.notified.append(action)
        elif isinstance(action, Deploy):
            if self.refuses_deploys:
                return [self._failed(action, "the model file is gone")]
            self._deploy(action)
        elif isinstance(action, RunSmoke):
            verdict = Verdict.FAIL if action.version in self.fails_smoke else Verdict.PASS
            done = SmokeDone(rollout=action.rollout, report=report(verdict, "smoke"))
            return [Envelope(to=self.key, id=f"smoke/{action.rollout}", message=done)]
        elif isinstance(action, WriteEnvironment):
            return self._write(action)
        return []

    def _write(self, action: WriteEnvironment) -> list[Envelope] | None:
        if self.writes == "is down":
            return None
        if self.writes == "is refused":
            return [self._failed(action, "the branch is protected")]
        done = next((c for c in self.commits if c.action == action.write), None)
        if done is None:
            every = [*self.commits, *self.gone]
            before = next((c.file for c in every if c.sha == action.seen), None)
            if before != self.file:
                moved = EnvironmentMoved(write=action.write)
                id_ = f"moved/{self.commits[-1].sha}"
                return [Envelope(to=self.key, id=id_, message=moved)]
            self._commit(action.file, action.write)
            done = self.commits[-1]
        if self.writes == "pushes and dies":
            return None
        written = EnvironmentWritten(write=action.write, commit=done.sha)
        return [Envelope(to=self.key, id=f"written/{done.sha}", message=written)]

    def _failed(self, action: Action, reason: str) -> Envelope:
        message = ActionFailed(action=action, reason=reason)
        return Envelope(to=self.key, id=f"failed/{action.type}", message=message)

    # -- the world -----------------------------------------------------------------------------

    def _deploy(self, want: Deploy) -> None:
        self.deployed, self.silence = want, None
        self.deploys.append(want)
        wanted = [n for n in (want.stable, want.canary) if n is not None]
        self.ready = {n: self.ready.get(n, False) for n in wanted}

    def _live(self) -> None:
        """Servers become ready and requests are answered."""
        self.ready = {n: n not in self.never_ready for n in self.ready}
        deployed = self.deployed
        if deployed is None or deployed.stable is None:
            return
        for i in range(self.load):
            rho = 0.0 if self.silence else deployed.canary_weight
            to_canary = rho > 0 and (i * rho) % 1 + rho >= 1
            number = deployed.canary if to_canary else deployed.stable
            self.exchanges.append(
                Exchange(
                    seq=len(self.exchanges),
                    at=self.now,
                    arm=Arm.CANARY if to_canary else Arm.STABLE,
                    probability=rho,
                    status=500
                    if number in self.faulty
                    else 422
                    if number in self.refusing
                    else 200,
                    latency=0.01,
                    size=50,
                    content="text/html" if number in self.pages else "application/json",
                )
            )

    def _status(self, number: int | None) -> int:
        if number in self.faulty:
            return 500
        return 422 if number in self.refusing else 200

    def _traffic(self, need: TrafficNeed) -> Traffic | None:
        after = need.cursor.after if need.cursor else 0
        return Traffic(
            epoch="one", exchanges=tuple(self.exchanges[after:]), next=len(self.exchanges)
        )

    def _deployed(self) -> Deployed:
        if self.deployed is None:
            return Deployed()
        place, want = f"mean/{self.name}", self.deployed

        def server(number: int | None) -> str | None:
            return server_name(place, ref(self, number)) if number is not None else None

        return Deployed(
            servers=tuple(
                ServerStatus(
                    name=server_name(place, ref(self, n)),
                    alive=True,
                    ready=ready,
                    address="http://one",
                )
                for n, ready in self.ready.items()
            ),
            address=None if want.closed else "http://router",
            stable=server(want.stable),
            canary=server(want.canary),
            canary_weight=0.0 if self.silence else want.canary_weight,
            silence=self.silence,
        )

    def _past(self) -> PastReleases | None:
        """What is read from the branch if the state does not know the environment."""
        ours = [c for c in reversed(self.commits) if c.action is not None and c.file is not None]
        if not ours or ours[0].file is None:
            return None
        refs = dict.fromkeys(r for r in (named_version(c.file) for c in ours) if r is not None)
        there = {r.version: self.versions[r.version] for r in refs if r.version not in self.lacking}
        return PastReleases(
            commit=ours[0].sha,
            file=ours[0].file,
            named=tuple(refs),
            versions=there,
            lacking={n: why for n, why in self.lacking.items() if n in {r.version for r in refs}},
            rollouts=max(self._rollout_of(c) for c in ours),
        )

    def _rollout_of(self, commit: Commit) -> int:
        found = re.match(rf"mean-{self.name}-(\d+)/", commit.action or "")
        return int(found[1]) if found else 0

    def _branch(self) -> tuple[Branch | None, LostHistory | None]:
        acted_on = self.state.acted_on if self.state else None
        lost = None
        if acted_on is not None and acted_on in {c.sha for c in self.gone}:
            last = self.commits[-1] if self.commits else None
            lost = LostHistory(
                was=acted_on,
                now=last.sha if last else None,
                left_out=tuple(c.sha[:12] for c in self.gone),
                news=last is not None and last.action is None and last.sha in self.fresh,
            )
        return self._last(acted_on, lost), lost

    def _last(self, acted_on: str | None, lost: LostHistory | None) -> Branch | None:
        ids = [c.sha for c in self.commits[: self.fetched]]
        if not ids or (lost is None and acted_on is not None and acted_on not in ids):
            return None
        last = self.commits[self.fetched - 1]
        seen = Branch(
            commit=last.sha,
            ours=last.action is not None,
            rollout=self._rollout_of(last),
            author="ada",
            subject="by hand",
        )
        if acted_on == last.sha:  # some other file was committed since
            return seen
        problem = None if last.file else f"{self.name}/mean.yaml: this is not YAML"
        return seen.model_copy(update={"file": last.file, "problem": problem})

    def _commit(self, file: EnvironmentFile | None, action: str | None = None) -> str:
        name = sha(f"{self.name} {len(self.commits) + len(self.gone)}")
        self.commits.append(Commit(name, file, action))
        if self.gone:
            self.fresh.add(name)
        if action is None:
            self.fetched = len(self.commits)
            self._tell()
        return name

    def _deliver(self, sent: Envelope) -> None:
        if sent.id in self._delivered:
            return
        self._delivered.add(sent.id)
        self._numbers += 1
        self.inbox.append(
            InboxMessage(
                number=self._numbers, to=sent.to, id=sent.id, message=sent.message, at=self.now
            )
        )


def running(site: S, *numbers: int) -> S:
    """The site after these versions were released one after another."""
    for number in numbers:
        site.release(number)
        site.run(12)
        assert site.serves == number
        assert site.env.rollout is None
    return site


def ref(site: Site, number: int) -> Ref:
    return site.versions[number].ref
