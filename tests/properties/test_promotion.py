"""Whatever comes in whatever order: an environment runs what its state and its branch say."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller.machine.actions import Deploy, Notify, RunSmoke, WriteEnvironment
from controller.machine.environments import promotion
from tests.controller.machine.kit import version
from tests.controller.machine.site import Site, WriteMode

NUMBERS = range(1, 6)
VERSIONS = {
    1: version(1),
    2: version(2),
    3: version(3, ("release.production.approval", "pull-request")),
    4: version(4, ("release.production.canary.on_inconclusive", "rollback")),
    5: version(
        5,
        ("release.production.strategy", "blue-green"),
        ("release.production.blue_green", {"keep_for": "2m"}),
    ),
}
SLOW = 70.0


class Releases(RuleBasedStateMachine):
    """One environment, people and releases that steer it, git and servers that fail."""

    site: Site

    @initialize(name=st.sampled_from(["staging", "production"]))
    def begin(self, name: str) -> None:
        self.site = Site(VERSIONS, name=name, load=10)
        self.fired: set[str] = set()
        self.heard = 0
        for number in (1, 2):
            self.site.release(number)
            for _ in range(10):
                self.look(1.0)

    # -- what happens --------------------------------------------------------------------------

    @rule(number=st.sampled_from(NUMBERS))
    def release(self, number: int) -> None:
        self.site.release(number)

    @rule(verb=st.sampled_from(["approve", "promote", "pause", "resume", "abort", "retry"]))
    def say(self, verb: str) -> None:
        self.site.send(verb, by="ada")

    @rule(to=st.none() | st.sampled_from([*NUMBERS, 99]))
    def roll_back(self, to: int | None) -> None:
        self.site.send("rollback", by="ada", **({"to": to} if to is not None else {}))

    @rule(number=st.none() | st.sampled_from([*NUMBERS, 99]), pinned=st.booleans())
    def edit(self, number: int | None, pinned: bool) -> None:
        self.site.edit(version=number, pinned=pinned)

    @precondition(lambda self: self.site.commits)
    @rule()
    def revert(self) -> None:
        self.site.revert()

    @rule()
    def garble(self) -> None:
        self.site.garble()

    @rule(keep=st.integers(0, 3))
    def push_over(self, keep: int) -> None:
        """Somebody pushes over the branch, or deletes it."""
        self.site.push_over(min(keep, len(self.site.commits)))

    @rule(mode=st.sampled_from(["works", "is down", "pushes and dies", "is refused"]))
    def git(self, mode: WriteMode) -> None:
        self.site.writes = mode

    @rule(bad=st.sets(st.sampled_from(NUMBERS), max_size=2), how=st.sampled_from("fsr"))
    def servers(self, bad: set[int], how: str) -> None:
        self.site.faulty = bad if how == "f" else set()
        self.site.fails_smoke = bad if how == "s" else set()
        self.site.never_ready = bad if how == "r" else set()

    @rule(refuses=st.booleans())
    def deployer(self, refuses: bool) -> None:
        self.site.refuses_deploys = refuses

    @rule()
    def crash(self) -> None:
        """The controller dies after saving what it owes, before it applies that."""
        self.look(1.0, apply=False)

    @rule(times=st.integers(1, 3), dt=st.sampled_from([1.0, SLOW]))
    def wait(self, times: int, dt: float) -> None:
        for _ in range(times):
            self.look(dt)

    @rule()
    def go_on(self) -> None:
        for _ in range(6):
            self.look(1.0)

    @rule(number=st.sampled_from(NUMBERS))
    def release_and_go_on(self, number: int) -> None:
        self.site.release(number)
        self.go_on()

    @rule(number=st.sampled_from(NUMBERS))
    def wish_and_go_on(self, number: int) -> None:
        self.site.edit(version=number)
        self.go_on()

    @rule()
    def roll_back_and_go_on(self) -> None:
        self.site.send("rollback", by="ada")
        self.go_on()

    def look(self, dt: float, *, apply: bool = True) -> None:
        """Reconcile once, and check what it must not have done."""
        site, before = self.site, self.site.state
        commits = len(site.commits)
        decision = site.reconcile(dt, apply=apply)
        env = decision.state
        if decision.requeue_after is None:  # only a message can change anything
            assert (env.stable, env.rollout, env.warm, env.write) == (None, None, None, None)
        deploys = [a for a in decision.actions if isinstance(a, Deploy)]
        assert len(deploys) <= 1
        for deploy in deploys:
            rollout = env.rollout
            under_way = rollout.version.version if rollout and rollout.deployed else None
            assert deploy.stable == (env.stable.version if env.stable else None)
            kept = env.warm.version.version if env.warm and under_way is None else None
            assert deploy.canary == (under_way or kept)
            assert deploy.canary_weight == 0 or (rollout and rollout.step >= 0)
        was = before.stable if before else None
        if env.stable != was and env.stable is not None:
            self.changed_for_a_reason(env, commits)
            lifted = {q.digest for q in (before.quarantine if before else ())}
            lifted &= {q.digest for q in env.quarantine}
            assert env.stable.digest not in lifted

    def changed_for_a_reason(self, env: Any, commits: int) -> None:
        """A commit names it, ours or a person's; a revert's commit follows it."""
        seen = [*self.site.gone, *self.site.commits[:commits]]
        named = {c.file.model.digest for c in seen if c.file and c.file.model}
        writing = env.write.file.model if env.write else None
        follows = writing is not None and writing.digest == env.stable.digest
        assert env.stable.digest in named or follows

    # -- what is always so ---------------------------------------------------------------------

    @invariant()
    def alerts_are_resolved_once_and_only_after_they_fired(self) -> None:
        for notify in self.site.notified[self.heard :]:
            if notify.status == "firing":
                assert notify.alert not in self.fired
                self.fired.add(notify.alert)
            elif notify.status == "resolved":
                assert notify.alert in self.fired
                self.fired.discard(notify.alert)
        self.heard = len(self.site.notified)

    @invariant()
    def nothing_grows_without_bound(self) -> None:
        if self.site.state is None:
            return
        env = self.site.env
        assert len(set(env.alerts)) == len(env.alerts)
        assert len({r.digest for r in env.former}) == len(env.former)
        assert len({q.digest for q in env.quarantine}) == len(env.quarantine)
        assert not {q.digest for q in env.quarantine} & {r.digest for r in env.former}

    @invariant()
    def a_look_that_shows_nothing_new_decides_nothing_new(self) -> None:
        site = self.site
        if site.state is None or site.inbox:
            return
        observed = site.observe()
        first = promotion.decide(site.state, observed, (), site.now)
        second = promotion.decide(first.state, observed, (), site.now)
        third = promotion.decide(second.state, observed, (), site.now)
        assert third.state == promotion.decide(third.state, observed, (), site.now).state
        for action in third.actions:
            assert not isinstance(action, (Notify, WriteEnvironment, RunSmoke))

    def teardown(self) -> None:
        """In a world that works again, all comes to rest, and the file says what serves."""
        site = self.site
        site.writes, site.refuses_deploys = "works", False
        site.faulty, site.fails_smoke, site.never_ready = set(), set(), set()
        for verb in ("resume", "approve", "retry", "approve"):
            site.send(verb, by="ada")
            for _ in range(8):
                self.look(1.0)
        for _ in range(12):
            self.look(SLOW)
        for _ in range(40):
            self.look(1.0)
        env = site.env
        assert env.write is None
        rollout = env.rollout
        assert rollout is None or (rollout.held is not None) or rollout.approval
        assert env.unready_since is None
        if rollout is None:
            said = site.file.model.digest if site.file and site.file.model else None
            assert said == (env.stable.digest if env.stable else None)
            assert site.deployed is None or site.deployed.stable == site.serves


TestReleases = Releases.TestCase
TestReleases.settings = settings(max_examples=30, stateful_step_count=20)
