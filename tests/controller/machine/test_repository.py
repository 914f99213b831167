"""Whom a repository tells of what moved in it."""

from dataclasses import dataclass, field

from controller.machine.actions import ReportCommit, ReportUntouched
from controller.machine.core import Decision, Envelope, parsed
from controller.machine.repositories import noticing as machine
from controller.machine.repositories.repository import (
    Commit,
    ObservedRepository,
    RepositoryState,
    is_seen,
)
from tests.controller.machine.kit import fields, sha

MEAN = {"ml-pipeline.yaml": "mean"}


@dataclass
class Remote:
    """The branches of a remote, and the repository machine that looks at them."""

    heads: dict[str, Commit] = field(default_factory=dict)
    default: str = "main"
    environments: str | None = None
    nudged: frozenset[str] | None = frozenset()
    """Environments of which somebody merged or closed a release's pull request."""
    places: frozenset[str] | None = None
    """The environments that have a file."""
    moved: frozenset[str] | None = None
    unwatched: dict[str, str] = field(default_factory=dict)
    state: RepositoryState | None = None
    told: list[Envelope] = field(default_factory=list)
    ids: set[tuple[str, str]] = field(default_factory=set)

    def push(
        self,
        name: str,
        branch: str = "main",
        pipelines: dict[str, str] | None = None,
        broken: tuple[str, ...] = (),
        beside: tuple[str, ...] = (),
        covered: dict[str, str] | None = None,
    ) -> None:
        named = MEAN if pipelines is None else pipelines
        self.heads[branch] = Commit(
            sha=sha(name),
            subject=name,
            pipelines=named,
            broken=broken,
            beside=beside,
            covered=covered or {},
        )

    def look(self) -> Decision[RepositoryState]:
        """A look, as the observer makes it: the specs of a head that was seen are not read."""
        heads = {
            branch: Commit(sha=c.sha) if is_seen(self.state, branch, c.sha, self.default, {}) else c
            for branch, c in self.heads.items()
        }
        observed = ObservedRepository(
            default_branch=self.default,
            heads=heads,
            unwatched=dict(self.unwatched),
            environments=self.environments,
            places=self.places,
            moved=self.moved,
            nudged=self.nudged,
        )
        decision = machine.decide("team", self.state, observed)
        self.state = parsed(RepositoryState, decision.state.plain())
        self.told += decision.messages
        for message in decision.messages:
            assert (str(message.to), message.id) not in self.ids, "it would count as told before"
            self.ids.add((str(message.to), message.id))
        return decision

    def news(self) -> list[tuple[str, str, str, str | None]]:
        """Type, pipeline, branch and commit of what was told since the last look."""
        self.told.clear()
        self.look()
        return [
            (m.message.type, m.to.name, fields(m)["branch"], fields(m)["commit"])
            for m in self.told
            if m.to.kind == "pipeline"
        ]


def reports(decision: Decision[RepositoryState]) -> list[tuple[str, str, str]]:
    return [(a.state, a.pipeline, a.title) for a in decision.actions if isinstance(a, ReportCommit)]


def seen(name: str, branch: str = "main", pipeline: str = "mean") -> tuple[str, str, str, str]:
    return ("commit_seen", pipeline, branch, sha(name))


def test_a_new_commit_is_told_once_however_often_one_looks() -> None:
    remote = Remote()
    remote.push("c1")
    assert remote.news() == [seen("c1")]
    assert remote.news() == []
    remote.push("c2")
    assert remote.news() == [seen("c2")]
    body = fields(remote.told[0])
    assert (body["subject"], body["spec"], body["default_branch"]) == (
        "c2",
        "ml-pipeline.yaml",
        "main",
    )
    before = remote.state
    after = remote.look()
    assert (after.state, after.messages, after.actions) == (before, (), ())


def test_what_was_pushed_together_with_the_head_is_told_which_commit_stands_for_it() -> None:
    remote = Remote()
    remote.push("c1")
    remote.look()
    remote.push("c4", beside=(sha("c3"), sha("c2")))
    decision = remote.look()
    told = [a for a in decision.actions if isinstance(a, ReportCommit)]
    title = f"not run: {sha('c4')[:12]} was pushed with it, or right after it, and covers it"
    assert [(one.commit, one.state, one.title) for one in told] == [
        (sha("c3"), "skipped", title),
        (sha("c2"), "skipped", title),
    ]
    assert not remote.look().actions, "once"


def test_a_force_push_back_to_a_commit_that_was_left_is_told_again() -> None:
    remote = Remote()
    for name in ("c1", "c2", "c1"):
        remote.push(name)
        assert remote.news() == [seen(name)]


def test_what_is_said_of_a_branch_that_is_not_the_default_one_names_it() -> None:
    remote = Remote()
    remote.push("c1")
    remote.push(
        "t1", "trial", pipelines={"a/ml-pipeline.yaml": "mean", "b/ml-pipeline.yaml": "mean"}
    )
    decision = remote.look()
    (said,) = [a for a in decision.actions if isinstance(a, ReportCommit)]
    assert (said.scope, said.state, said.commit) == ("on trial", "invalid", sha("t1"))


def test_of_two_specs_with_one_name_the_second_is_told_to_take_another() -> None:
    remote = Remote()
    remote.push(
        "c1",
        pipelines={
            "a/ml-pipeline.yaml": "mean",
            "b/ml-pipeline.yaml": "mean",
            "c/ml-pipeline.yaml": "other",
        },
    )
    decision = remote.look()
    assert [(m.to.name, fields(m)["spec"]) for m in remote.told] == [
        ("mean", "a/ml-pipeline.yaml"),
        ("other", "c/ml-pipeline.yaml"),
    ]
    title = "two specs are named mean: a/ml-pipeline.yaml and b/ml-pipeline.yaml; give one another "
    title += "`metadata.name`"
    assert reports(decision) == [("invalid", "", title)]  # the first has its own check


def test_when_the_first_of_two_specs_with_one_name_goes_the_second_takes_over() -> None:
    remote = Remote()
    remote.push("c1", pipelines={"a/ml-pipeline.yaml": "mean", "b/ml-pipeline.yaml": "mean"})
    remote.look()
    remote.push("c2", pipelines={"b/ml-pipeline.yaml": "mean"})
    assert remote.news() == [seen("c2")]
    assert fields(remote.told[0])["spec"] == "b/ml-pipeline.yaml"


def test_a_default_branch_without_a_spec_says_what_writes_one_and_another_branch_nothing() -> None:
    remote = Remote()
    remote.push("c1", pipelines={})
    remote.push("t1", "topic", pipelines={})
    decision = remote.look()
    assert reports(decision) == [
        ("skipped", "", "there is no ml-pipeline.yaml here; `headgate init` writes one")
    ]
    assert remote.told == []


def test_a_moved_environments_branch_wakes_the_environments_of_each_pipeline_once() -> None:
    remote = Remote(environments=sha("e1"))
    remote.push("c1", pipelines={"a/ml-pipeline.yaml": "mean", "b/ml-pipeline.yaml": "other"})
    remote.push("t1", "topic", pipelines={"x/ml-pipeline.yaml": "elsewhere"})
    remote.look()
    places = ["mean/staging", "mean/production", "other/staging", "other/production"]
    assert [m.to.name for m in remote.told if m.message.type == "branch_moved"] == places
    remote.told.clear()
    remote.look()
    assert remote.told == []
    remote.environments = sha("e2")
    remote.look()
    assert [m.to.name for m in remote.told] == places


def test_of_a_thousand_pipelines_only_environments_whose_file_changed_are_woken() -> None:
    remote = Remote(environments=sha("e1"), places=frozenset({"p7/production"}))
    remote.push("c1", pipelines={f"p{n}/ml-pipeline.yaml": f"p{n}" for n in range(1000)})
    remote.look()
    assert woken(remote) == ["p7/production"], "the others have no file yet"
    remote.environments, remote.moved = sha("e2"), frozenset({"p8/staging", "elsewhere/staging"})
    remote.look()
    assert woken(remote) == ["p8/staging"]
    remote.environments, remote.moved = sha("e3"), frozenset()
    remote.look()
    assert woken(remote) == [], "somebody changed a file that is of no environment"


def test_the_environments_of_a_deleted_branch_are_told_once() -> None:
    remote = Remote(environments=sha("e1"), moved=frozenset({"mean/production"}))
    remote.push("c1")
    remote.look()
    remote.told.clear()
    remote.environments = None
    remote.look()
    assert woken(remote) == ["mean/production"]
    remote.look()
    assert woken(remote) == []
    remote.environments = sha("e1")
    remote.look()
    assert woken(remote) == ["mean/production"], "somebody pushed it again"


def woken(remote: Remote) -> list[str]:
    """The environments that were told since the last time."""
    told = [each.to.name for each in remote.told if each.message.type == "branch_moved"]
    remote.told.clear()
    return told


def test_a_deleted_branch_is_forgotten_and_told_once() -> None:
    remote = Remote()
    remote.push("c1")
    remote.push("t1", "topic")
    remote.look()
    del remote.heads["topic"]
    assert remote.news() == [("spec_gone", "mean", "topic", None)]
    assert remote.news() == []
    assert remote.state is not None
    assert list(remote.state.heads) == ["main"]
    remote.push("t1", "topic")
    assert remote.news() == [seen("t1", "topic")]


def test_a_deleted_spec_is_told_with_the_commit_that_deleted_it() -> None:
    remote = Remote()
    remote.push("c1", pipelines={"a/ml-pipeline.yaml": "mean", "b/ml-pipeline.yaml": "other"})
    remote.look()
    remote.push("c2", pipelines={"b/ml-pipeline.yaml": "other"})
    assert remote.news() == [
        seen("c2", pipeline="other"),
        ("spec_gone", "mean", "main", sha("c2")),
    ]


def test_a_renamed_pipeline_begins_under_the_new_name_and_is_gone_under_the_old() -> None:
    remote = Remote()
    remote.push("c1")
    remote.look()
    remote.push("c2", pipelines={"ml-pipeline.yaml": "median"})
    assert remote.news() == [
        seen("c2", pipeline="median"),
        ("spec_gone", "mean", "main", sha("c2")),
    ]


def test_a_spec_that_is_moved_is_not_gone() -> None:
    remote = Remote()
    remote.push("c1")
    remote.look()
    remote.push("c2", pipelines={"models/mean/ml-pipeline.yaml": "mean"})
    assert remote.news() == [seen("c2")]
    assert fields(remote.told[0])["spec"] == "models/mean/ml-pipeline.yaml"


def test_a_spec_that_cannot_be_read_renames_no_pipeline() -> None:
    remote = Remote()
    remote.push("c1")
    remote.look()
    remote.push("c2", pipelines={"ml-pipeline.yaml": "team"}, broken=("ml-pipeline.yaml",))
    assert remote.news() == [seen("c2")]
    remote.push(
        "t1",
        "topic",
        pipelines={"ml-pipeline.yaml": "team", "new/ml-pipeline.yaml": "new"},
        broken=("ml-pipeline.yaml", "new/ml-pipeline.yaml"),
    )
    assert remote.news() == [seen("t1", "topic"), seen("t1", "topic", "new")]


def test_another_default_branch_is_told_though_its_head_was_seen() -> None:
    remote = Remote()
    remote.push("c1")
    remote.push("t1", "trunk")
    remote.look()
    remote.default = "trunk"
    del remote.heads["main"]
    assert remote.news() == [seen("t1", "trunk"), ("spec_gone", "mean", "main", None)]
    assert fields(remote.told[0])["default_branch"] == "trunk"


def test_a_branch_that_is_the_default_one_no_more_is_told_again_as_others_judge_it() -> None:
    remote = Remote()
    remote.push("c1")
    remote.push("t1", "trunk")
    remote.look()
    remote.default = "trunk"
    assert remote.news() == [seen("c1"), seen("t1", "trunk")]
    assert remote.news() == []


# -- several specs of a folder -----------------------------------------------------------------


def test_specs_of_one_folder_are_pipelines_of_their_own() -> None:
    remote = Remote()
    remote.push("c1", pipelines={"ml-pipeline.yaml": "mean", "ml-pipeline.sum.yaml": "sum"})
    assert remote.news() == [seen("c1"), seen("c1", pipeline="sum")]
    assert [fields(m)["spec"] for m in remote.told] == ["ml-pipeline.yaml", "ml-pipeline.sum.yaml"]
    remote.push("c2", pipelines={"ml-pipeline.sum.yaml": "sum"})
    assert remote.news() == [seen("c2", pipeline="sum"), ("spec_gone", "mean", "main", sha("c2"))]


def test_of_two_specs_of_one_name_in_a_folder_the_plain_one_is_the_first() -> None:
    remote = Remote()
    remote.push("c1", pipelines={"ml-pipeline.copy.yaml": "mean", "ml-pipeline.yaml": "mean"})
    decision = remote.look()
    assert [fields(m)["spec"] for m in remote.told] == ["ml-pipeline.yaml"]
    ((state, pipeline, title),) = reports(decision)
    assert (state, pipeline) == ("invalid", ""), "what the first says is a report of its own"
    assert "ml-pipeline.yaml and ml-pipeline.copy.yaml" in title


def test_a_file_that_is_no_spec_for_the_letter_of_its_name_is_told() -> None:
    remote = Remote()
    remote.heads["main"] = Commit(sha=sha("c1"), misnamed={"a/ml-pipeline.yml": "ml-pipeline.yaml"})
    title = "a/ml-pipeline.yml is not read: rename it to ml-pipeline.yaml"
    assert reports(remote.look()) == [("skipped", "", title)]


def test_a_state_that_knew_specs_by_their_folders_tells_nobody_anything_new() -> None:
    remote = Remote()
    remote.push("c1", pipelines={"ml-pipeline.yaml": "mean", "a/ml-pipeline.yaml": "other"})
    remote.look()
    assert remote.state is not None
    old = remote.state.plain()
    old["pipelines"] = {"main": {"": "mean", "a": "other"}}
    remote.state = parsed(RepositoryState, old)
    assert remote.news() == []
    broken = ("a/ml-pipeline.yaml",)
    remote.push("c2", pipelines={"a/ml-pipeline.yaml": "a"}, broken=broken)
    assert seen("c2", pipeline="other") in remote.news(), "it goes by the name that it had"


# -- branches that are not watched -------------------------------------------------------------


def test_a_push_to_a_branch_that_is_not_watched_is_told_once_that_nothing_runs() -> None:
    remote = Remote(unwatched={"old": sha("o1")})
    remote.push("c1")
    assert reports(remote.look()) == [], "what was there before is nobody's news"
    remote.unwatched["topic"] = sha("t1")
    ((state, pipeline, title),) = reports(remote.look())
    assert (state, pipeline) == ("skipped", "")
    assert "not watched" in title
    assert "`triggers.commits.branches` of main's spec" in title
    assert reports(remote.look()) == []
    remote.unwatched["same"] = sha("c1")
    assert reports(remote.look()) == [], "the head of main has what main says"
    remote.unwatched["topic"] = sha("t2")
    (said,) = [a for a in remote.look().actions if isinstance(a, ReportCommit)]
    assert (said.commit, said.scope) == (sha("t2"), "on topic")


def test_a_state_of_before_unwatched_branches_were_told_of_begins_quietly() -> None:
    remote = Remote(unwatched={"old": sha("o1")})
    remote.push("c1")
    remote.look()
    assert remote.state is not None
    old = remote.state.plain()
    del old["unwatched"]
    remote.state = parsed(RepositoryState, old)
    assert reports(remote.look()) == []


def test_a_branch_that_did_not_move_is_looked_at_again_each_time_somebody_says_so() -> None:
    remote = Remote(environments=sha("e1"))
    remote.push("c1")
    remote.look()
    before = len(remote.told)
    remote.look()
    assert len(remote.told) == before
    remote.nudged = None
    for _ in range(2):
        remote.look()
    again = [m.to.name for m in remote.told[before:] if m.message.type == "branch_moved"]
    assert sorted(again) == ["mean/production"] * 2 + ["mean/staging"] * 2


def test_a_release_s_pull_request_is_told_of_to_its_environment_only() -> None:
    remote = Remote(environments=sha("e1"))
    remote.push("c1", pipelines=three())
    remote.look()
    remote.told.clear()
    remote.nudged = frozenset({"mean/production"})
    remote.look()
    assert [m.to.name for m in remote.told] == ["mean/production"]
    remote.told.clear()
    remote.environments, remote.moved = sha("e2"), frozenset({"sum/staging"})
    remote.look()
    assert [m.to.name for m in remote.told] == ["mean/production", "sum/staging"]


def three() -> dict[str, str]:
    return {f"{name}/ml-pipeline.yaml": name for name in ("max", "mean", "sum")}


def test_only_pipelines_that_a_commit_concerns_are_told_and_one_report_is_for_the_others() -> None:
    remote = Remote()
    remote.push("c1", pipelines=three())
    assert len(remote.news()) == 3
    remote.push("c2", pipelines=three(), covered={"max": "max-4", "sum": "sum-1"})
    decision = remote.look()
    assert [m.to.name for m in decision.messages if m.message.type == "commit_seen"] == ["mean"]
    (report,) = decision.actions
    assert isinstance(report, ReportUntouched)
    assert report.title == (
        "nothing to run: this commit changes nothing that these 2 pipelines read"
    )
    assert (report.commit, report.named) == (sha("c2"), {"max": "max-4", "sum": "sum-1"})
    assert decision.state.pipelines == {"main": three()}, "they are on the branch as before"


def test_a_single_pipeline_that_a_commit_does_not_concern_is_reported_on_as_itself() -> None:
    remote = Remote()
    remote.push("c1")
    remote.look()
    remote.push("c2", covered={"mean": "mean-7"})
    decision = remote.look()
    title = "nothing to run: nothing it reads has changed since mean-7 (passed)"
    assert reports(decision) == [("skipped", "mean", title)]
    assert not decision.messages


def test_a_report_for_a_thousand_pipelines_names_some_and_counts_the_rest() -> None:
    remote = Remote()
    names = {f"p{n:04}/ml-pipeline.yaml": f"p{n:04}" for n in range(1000)}
    remote.push("c1", pipelines=names)
    remote.look()
    remote.push("c2", pipelines=names, covered=dict.fromkeys(names.values(), ""))
    (report,) = remote.look().actions
    assert isinstance(report, ReportUntouched)
    assert (len(report.named), report.others) == (30, 970)
    assert "these 1000 pipelines" in report.title
