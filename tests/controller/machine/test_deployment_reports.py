"""What is shown of rollouts in the code's repository; it never blocks them."""

from controller.machine.actions import ReportDeployment, ReportRelease
from controller.machine.core import Action, Decision
from controller.machine.environments.environment import EnvironmentState
from tests.controller.machine.kit import version
from tests.controller.machine.site import Site, running

Told = list[tuple[str, str, str]]


def site(name: str = "production") -> Site:
    return Site({n: version(n) for n in range(1, 6)}, name=name)


def actions_of(one: Site, count: int) -> list[Action]:
    """The actions of some reconciles."""
    return [action for _ in range(count) for action in one.reconcile().actions]


def told(actions: list[Action]) -> Told:
    return [(a.mark, a.state, a.text) for a in actions if isinstance(a, ReportDeployment)]


def verdicts(actions: list[Action]) -> list[tuple[str, bool]]:
    return [(a.commit, a.healthy) for a in actions if isinstance(a, ReportRelease)]


def test_a_canary_is_reported_once_for_each_weight_and_replaces_what_served() -> None:
    one = running(site(), 1)
    one.release(2)
    actions = actions_of(one, 20)
    mark = "mean-production-2"
    assert told(actions) == [
        (mark, "in_progress", "is starting"),
        (mark, "in_progress", "canary at 50 %"),
        (mark, "success", "serves all traffic"),
        ("mean-production-1", "inactive", "replaced by v2"),
    ]
    assert verdicts(actions) == [(one.versions[2].source.commit, True)]


def test_a_rollback_fails_the_deployment_and_the_commit_and_what_serves_stays_as_it_was() -> None:
    one = running(site(), 1)
    one.faulty = {2}
    one.release(2)
    actions = actions_of(one, 20)
    mark, state, text = told(actions)[-1]
    assert (mark, state) == ("mean-production-2", "failure")
    assert text.startswith("Rolled back: the canary is worse than stable in errors")
    assert verdicts(actions) == [(one.versions[2].source.commit, False)]
    one.faulty = set()
    one.send("retry", by="ada")
    assert verdicts(actions_of(one, 20)) == [(one.versions[2].source.commit, True)]


def test_a_persons_rollback_fails_the_commit_of_what_is_left_behind() -> None:
    one = running(site(), 1, 2)
    one.send("rollback", by="ada", reason="it smells")
    actions = actions_of(one, 8)
    first, second = (one.versions[n].source.commit for n in (1, 2))
    assert verdicts(actions) == [(second, False), (first, True)]
    assert told(actions)[-2:] == [
        ("mean-production-3", "success", "serves all traffic"),
        ("mean-production-2", "inactive", "replaced by v1"),
    ]


def test_a_git_revert_is_a_deployment_and_condemns_no_commit() -> None:
    one = running(site(), 1, 2)
    one.revert()
    actions = actions_of(one, 8)
    assert one.serves == 1
    assert ("mean-production-3", "success", "serves all traffic") in told(actions)
    assert False not in [healthy for _, healthy in verdicts(actions)]


def test_model_null_leaves_no_deployment_active() -> None:
    one = running(site(), 1)
    one.edit(version=None)
    assert told(actions_of(one, 3)) == [
        ("mean-production-1", "inactive", "nothing serves any more")
    ]


def test_a_rollout_that_a_newer_one_supersedes_becomes_inactive() -> None:
    one = running(site(), 1)
    one.load = 0
    one.release(2)
    one.run(3)
    one.release(3)
    assert ("mean-production-2", "inactive", "superseded by v3") in told(actions_of(one, 2))


def under_canary() -> Site:
    one = running(site(), 1)
    one.load = 0
    one.release(2)
    one.run(3)
    return one


def test_what_a_person_ends_becomes_inactive_with_who_did_and_how() -> None:
    one = under_canary()
    one.edit(version=None)
    assert told(actions_of(one, 3))[0] == ("mean-production-2", "inactive", "ada set `model: null`")
    one = under_canary()
    commit = one.put_on_the_list(2)[:12]
    why = f"ada quarantined it in commit {commit}"
    assert ("mean-production-2", "inactive", why) in told(actions_of(one, 3))


def test_who_waits_for_an_approval_is_queued() -> None:
    one = running(site(), 1)
    one.versions = {**one.versions, 2: version(2, ("release.production.approval", "pull-request"))}
    one.release(2)
    assert told(actions_of(one, 3)) == [("mean-production-2", "queued", "awaits approval")]


def test_a_newer_report_withdraws_the_older_of_its_rollout_and_no_other() -> None:
    one = running(site(), 1)
    one.release(2)
    for _ in range(20):
        decision: Decision[EnvironmentState] = one.reconcile()
        lanes = {a.lane for a in decision.actions if isinstance(a, ReportDeployment)}
        assert lanes <= set(decision.withdraw)
        withdrawn = {lane for lane in decision.withdraw if lane.startswith("deployment ")}
        assert withdrawn == lanes


def test_a_report_that_github_refuses_ends_no_rollout() -> None:
    one = running(site(), 1)
    one.release(2)
    (report,) = (a for a in actions_of(one, 1) if isinstance(a, ReportDeployment))
    one.send("action_failed", action=report.plain(), reason="GitHub answered 403")
    one.run(20)
    assert one.serves == 2


def test_staging_says_nothing_of_the_commit() -> None:
    one = site("staging")
    one.release(1)
    actions = actions_of(one, 10)
    assert [state for _, state, _ in told(actions)] == ["in_progress", "success"]
    assert verdicts(actions) == []


def test_pipelines_of_one_repository_have_environments_of_their_own() -> None:
    def shown(folder: str, file: str = "ml-pipeline.yaml") -> set[str]:
        plain = version(1)
        source = plain.source.model_copy(update={"folder": folder, "file": file})
        one = Site({1: plain.model_copy(update={"source": source})})
        one.release(1)
        return {a.shown for a in actions_of(one, 5) if isinstance(a, ReportDeployment)}

    assert shown("") == {"production"}
    assert shown("flights") == {"production (mean)"}
    assert shown("", "ml-pipeline.mean.yaml") == {"production (mean)"}
