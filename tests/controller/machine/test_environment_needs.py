"""What an environment needs to see, where no story of the site would miss it."""

import pytest

from controller.machine.core import InboxMessage, Key, Message
from controller.machine.environments.environment import Branch, EnvironmentState
from controller.machine.environments.needs import needs, needs_branch
from controller.machine.environments.rollout import ReleaseProposal, Rollout
from controller.machine.messages import BranchMoved, ReleaseRequested, Retry, SmokeDone
from tests.controller.machine.kit import report, version
from tests.controller.machine.site import Site, running
from validators.verdict import Verdict

LOOK = BranchMoved(repository="team")


def inbox(state: EnvironmentState, *messages: Message) -> tuple[InboxMessage, ...]:
    key = Key("environment", state.place)
    return tuple(
        InboxMessage(number=n, to=key, id=str(n), message=one, at=0.0)
        for n, one in enumerate(messages)
    )


def environment(**facts: object) -> EnvironmentState:
    known = {"pipeline": "mean", "name": "production", "repository": "team", "acted_on": "4f2a"}
    return EnvironmentState.model_validate({**known, "rollouts": 3, **facts})


def rollout(number: int, **facts: object) -> Rollout:
    known = {"id": "mean-production-3", "kind": "release", "why": "it passed", "by": "headgate"}
    ref = version(number).ref
    return Rollout.model_validate({**known, "version": ref, "asked": 0.0, **facts})


def awaiting(pull: int | None) -> EnvironmentState:
    proposal = ReleaseProposal(seen="4f2a", pull=pull)
    return environment(rollout=rollout(2, approval=True, proposal=proposal))


def test_a_pull_request_is_looked_at_at_once_only_if_something_hints_at_a_change() -> None:
    env = awaiting(7)
    same, moved = Branch(commit="4f2a", ours=True), Branch(commit="31bc", ours=False)
    other = SmokeDone(rollout="x", report=report(Verdict.PASS, "smoke"))
    seen = (
        needs(env, (), same),
        needs(env, inbox(env, other), same),
        needs(env, inbox(env, LOOK), same),
        needs(env, (), moved),
    )
    assert [one.proposal and (one.proposal.pull, one.proposal.now) for one in seen] == [
        (7, False),
        (7, False),
        (7, True),
        (7, True),
    ]


def test_a_pull_request_that_is_not_open_or_needs_no_decision_is_not_looked_at() -> None:
    approved = awaiting(7)
    assert approved.rollout is not None
    done = approved.rollout.model_copy(update={"approved": 1.0})
    approved = approved.model_copy(update={"rollout": done})
    for env in (awaiting(None), approved, environment()):
        assert needs(env, (), None).proposal is None


def test_the_past_is_read_again_only_when_somebody_asks_where_it_said_too_little() -> None:
    env = environment(unknown="v2 runs, and is lost", unknown_server=True)
    assert not needs(env, (), None).past
    assert needs(env, inbox(env, Retry(by="ada")), None).past
    assert needs(env, inbox(env, LOOK), None).past


def test_a_version_that_is_released_or_retried_now_is_named_with_its_commit() -> None:
    stopped = environment(stopped=rollout(2))
    released = ReleaseRequested(
        version=4, digest=version(4).digest, repository="team", why="it passed"
    )
    assert needs(None, inbox(stopped, released), None).origins == {4}
    assert needs(stopped, inbox(stopped, released), None).origins == {4}
    assert needs(stopped, inbox(stopped, Retry(by="ada")), None).origins == {2}
    assert needs(stopped, inbox(stopped, Retry(by="ada", version=1)), None).origins == {1, 2}
    assert needs(stopped, (), None).origins == set()


def test_the_branch_is_looked_at_when_somebody_says_so_and_while_something_waits_for_it() -> None:
    serving = environment(stable=version(1).ref)
    assert not needs_branch(serving, ())
    assert needs_branch(serving, inbox(serving, LOOK))
    assert needs_branch(None, ())
    assert needs_branch(awaiting(7), ())
    assert needs_branch(environment(unread=True), ())


@pytest.mark.parametrize("name", ["staging", "production"])
def test_an_environment_that_serves_never_looks_at_the_branch_in_a_quiet_hour(name: str) -> None:
    one = running(Site({1: version(1)}, name), 1)
    one.run(3)
    looks, until = 0, one.now + 3600.0
    while one.now < until:
        looks += needs_branch(one.state, one.inbox)
        wait = one.reconcile(0.0).requeue_after
        assert wait is not None, "its server is looked after"
        one.now += wait
    assert looks == 0


def test_an_environment_where_nothing_runs_is_not_looked_at_until_somebody_says_so() -> None:
    one = Site({1: version(1)})
    one.send("branch_moved", repository="team")
    assert one.reconcile().requeue_after is None
    one.release(1)
    one.run(12)
    one.edit(version=None)
    waits = [one.reconcile().requeue_after for _ in range(4)]
    assert waits[0] is not None, "its server has to be ended first"
    assert waits[-1] is None
