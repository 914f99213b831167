"""What a repository makes of pull requests, and of what people ask for on them."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controller.machine.actions import (
    AnswerCommand,
    ReportCommit,
    ReportPolicy,
    ReportUntouched,
)
from controller.machine.core import Decision, Envelope, parsed
from controller.machine.messages import ButtonPressed
from controller.machine.repositories import noticing as machine
from controller.machine.repositories.pull import (
    Command,
    LastComment,
    Pull,
    Right,
    Verb,
    pull_branch,
)
from controller.machine.repositories.reports import ReportPlace, removed
from controller.machine.repositories.repository import Commit, ObservedRepository, RepositoryState
from tests.controller.machine.kit import fields, sha

MEAN = {"ml-pipeline.yaml": "mean"}


@dataclass
class Remote:
    """A main branch, pull requests, and the repository machine that looks at them."""

    main: str = "m1"
    pulls: dict[int, Pull] = field(default_factory=dict)
    said: list[Command] = field(default_factory=list)
    state: RepositoryState | None = None
    messages: list[Envelope] = field(default_factory=list)
    """Of the last look."""
    actions: list[Any] = field(default_factory=list)
    ids: set[tuple[str, str]] = field(default_factory=set)

    def open(self, number: int, head: str, **more: Any) -> None:
        facts = {"base": "main", "title": f"Try {head}", "base_commit": sha("m1"), **more}
        self.pulls[number] = Pull(number=number, head=sha(head), **facts)

    def say(
        self, number: int, verb: Verb, argument: str = "", *, may: bool = True, **more: Any
    ) -> None:
        """`may` is to write, and to accept what is done to every pipeline."""
        rights = {name: Right(may=may) for name in ("mean", "sum", "max")}
        id_ = len(self.said) + 100
        self.said.append(
            Command(
                id=f"comment/{id_}",
                verb=verb,
                argument=argument,
                by="maya" if may else "eve",
                may=may,
                rights=rights,
                **{"pull": number, "comment": id_, **more},
            )
        )

    def press(self, verb: Verb, head: str, **more: Any) -> None:
        """A button of a check of that head."""
        facts = {"check": "policy", "pipeline": "mean", **more}
        self.say(0, verb, pull=None, comment=None, commit=sha(head), **facts)

    def look(
        self, *, more: dict[str, Any] | None = None, **facts: Any
    ) -> Decision[RepositoryState]:
        """`more` are facts of the head of each pull request, `facts` of what is observed."""
        heads = {"main": Commit(sha=sha(self.main), pipelines=MEAN)}
        of_head = {"pipelines": MEAN, **(more or {})}
        heads |= {
            pull_branch(n): Commit(sha=pull.head, pull=pull, **of_head)
            for n, pull in self.pulls.items()
        }
        observed = ObservedRepository(
            default_branch="main",
            heads=heads,
            pulls=self.pulls,
            asked=tuple(self.said),
            last_comment=LastComment(comment=100, at="now"),
            **facts,
        )
        self.said.clear()
        decision = machine.decide("team", self.state, observed)
        self.state = parsed(RepositoryState, decision.state.plain())
        self.messages, self.actions = list(decision.messages), list(decision.actions)
        return decision

    def told(self) -> list[tuple[str, str]]:
        """The commits that pipelines were told of since the last look, by branch."""
        self.look()
        seen = [fields(m) for m in self.messages if m.message.type == "commit_seen"]
        return [(body["branch"], body["commit"]) for body in seen if body["branch"] != "main"]

    def reports(self) -> list[tuple[str, str, str]]:
        found = [a for a in self.actions if isinstance(a, ReportCommit)]
        return [(a.commit, a.pipeline, a.state) for a in found]

    def policies(self) -> list[tuple[int, str, str, str]]:
        """Of the last look: pull request, pipeline, whose rules, and who accepted."""
        found = [a for a in self.actions if isinstance(a, ReportPolicy)]
        return [(a.pull, a.pipeline, a.scope, a.accepted) for a in found]

    def let(self) -> list[tuple[str, str, str, str]]:
        """What pipelines were told of as accepted: pipeline, branch, commit and by whom."""
        found = [m for m in self.messages if m.message.type == "rules_accepted"]
        return [
            (m.to.name, fields(m)["branch"], fields(m)["commit"], fields(m)["by"]) for m in found
        ]


def test_a_pull_request_is_told_once_as_a_branch_and_again_when_it_moves() -> None:
    remote = Remote()
    remote.open(7, "p1")
    assert remote.told() == [(pull_branch(7), sha("p1"))]
    assert remote.told() == []
    remote.open(7, "p2")
    assert remote.told() == [(pull_branch(7), sha("p2"))]


def test_one_that_is_for_another_branch_now_is_told_again_as_that_branch_judges_it() -> None:
    remote = Remote()
    remote.open(7, "p1", base="lenient")
    assert remote.told() == [(pull_branch(7), sha("p1"))]
    remote.open(7, "p1", base="main")
    assert remote.told() == [(pull_branch(7), sha("p1"))]
    assert remote.told() == []


def test_one_that_is_closed_is_gone_for_its_pipelines_and_told_anew_when_it_is_reopened() -> None:
    remote = Remote()
    remote.open(7, "p1")
    remote.look()
    del remote.pulls[7]
    remote.look()
    (gone,) = remote.messages
    assert (gone.message.type, fields(gone)["branch"], fields(gone)["commit"]) == (
        "spec_gone",
        pull_branch(7),
        None,
    )
    assert fields(gone)["why"] == "the pull request 7 was closed"
    remote.open(7, "p1")
    assert remote.told() == [(pull_branch(7), sha("p1"))]


def test_pipelines_that_it_does_not_touch_or_removes_get_a_status_each() -> None:
    remote = Remote()
    remote.open(7, "p1")
    remote.look(more={"pipelines": {}, "untouched": ("mean",), "removed": ("sum",)})
    assert (sha("p1"), "mean", "skipped") in remote.reports()
    assert (sha("p1"), "sum", "held") in remote.reports()
    assert [m for m in remote.messages if fields(m).get("branch") == pull_branch(7)] == []


def test_one_of_a_repository_without_pipelines_gets_one_terminal_status() -> None:
    remote = Remote()
    remote.open(7, "p1")
    remote.look(more={"pipelines": {}})
    assert (sha("p1"), "", "skipped") in remote.reports()


def test_a_fork_is_held_until_its_very_head_is_approved_and_then_told_once() -> None:
    remote = Remote()
    remote.open(7, "f1", fork=True)
    assert remote.told() == []
    assert remote.reports() == [(sha("f1"), "mean", "held")]
    remote.say(7, "run")
    remote.say(7, "approve", sha("f1"), may=False)
    remote.say(7, "approve", sha("f0"))
    assert remote.told() == []
    assert remote.reports() == [], "it is said once"
    remote.say(7, "approve", sha("f1")[:12])
    assert remote.told() == [(pull_branch(7), sha("f1"))]
    assert remote.told() == []


def test_one_whose_turn_has_not_come_is_as_it_was_and_told_when_it_comes() -> None:
    """It was approved, but others are read first."""
    remote = Remote()
    remote.open(7, "f1", fork=True)
    remote.look()
    remote.say(7, "approve", sha("f1"))
    remote.look(more={"pipelines": {}, "waits": True})
    assert remote.reports() == []
    assert remote.messages == []
    assert remote.told() == [(pull_branch(7), sha("f1"))]
    assert remote.told() == []


def test_a_new_push_to_a_fork_is_held_again_and_what_ran_of_the_older_is_gone() -> None:
    remote = Remote()
    remote.open(7, "f1", fork=True)
    remote.look()
    remote.say(7, "approve", sha("f1"))
    remote.look()
    remote.open(7, "f2", fork=True)
    remote.look()
    assert [(m.message.type, fields(m)["branch"]) for m in remote.messages] == [
        ("spec_gone", pull_branch(7))
    ]
    assert remote.reports() == [(sha("f2"), "mean", "held")]
    remote.open(7, "f1", fork=True)
    assert remote.told() == [], "an approval does not outlive a push, even one back"


def test_what_is_asked_of_a_held_fork_reaches_no_pipeline() -> None:
    remote = Remote()
    remote.open(7, "f1", fork=True)
    remote.look()
    verbs: tuple[Verb, ...] = ("plan", "run", "retry", "cancel")
    for verb in verbs:
        remote.say(7, verb)
    remote.look()
    assert remote.messages == []
    assert len([a for a in remote.actions if isinstance(a, AnswerCommand)]) == 4


def test_a_command_is_answered_once_and_reaches_the_pipelines_of_the_pull_request() -> None:
    remote = Remote()
    remote.open(7, "p1")
    remote.look()
    remote.say(7, "run")
    remote.look()
    assert [(m.to.name, m.message.type, fields(m)["branch"]) for m in remote.messages] == [
        ("mean", "run_requested", pull_branch(7))
    ]
    remote.look()
    assert (remote.messages, remote.actions) == ([], [])


def test_every_pipeline_of_a_pull_request_has_its_rules_compared_held_or_not() -> None:
    remote = Remote()
    facts = {"untouched": ("sum",), "removed": ("max",)}
    every = [(7, "max", "", ""), (7, "mean", "", ""), (7, "sum", "", "")]
    remote.open(7, "p1")
    remote.look(more=facts)
    assert remote.policies() == every
    remote.look()
    assert remote.policies() == []
    remote.open(7, "f1", fork=True)
    remote.look(more=facts)
    assert remote.policies() == every


def test_what_was_open_before_rules_were_compared_is_told_once_more() -> None:
    remote = Remote()
    remote.open(7, "p1")
    remote.look()
    assert remote.state is not None
    remote.state = remote.state.model_copy(update={"untold": {}})
    assert remote.told() == [(pull_branch(7), sha("p1"))]
    assert remote.policies() == [(7, "mean", "", "")]
    assert remote.told() == []


def test_one_head_with_two_bases_has_its_rules_compared_with_each_under_two_names() -> None:
    remote = Remote()
    remote.open(7, "p1")
    remote.open(8, "p1", base="easy", base_commit=sha("e1"))
    remote.look(more={"pipelines": {}, "removed": ("mean",)})
    assert remote.policies() == [(7, "mean", "", ""), (8, "mean", "into easy", "")]
    said = [a for a in remote.actions if isinstance(a, ReportCommit)]
    assert [(a.pull, a.scope, a.state) for a in said] == [
        (7, "", "held"), (8, "into easy", "held")
    ]  # fmt: skip


def test_who_has_the_right_accepts_the_very_head_and_the_run_is_judged_anew() -> None:
    remote = Remote()
    remote.open(7, "p1")
    remote.look()
    for words in ({"may": False}, {"edited": True}, {"early": True}):
        remote.say(7, "accept", sha("p1")[:12], **words)
    remote.say(7, "accept", sha("p0"))
    remote.say(7, "accept", sha("p1")[:6])
    remote.look()
    assert (remote.policies(), remote.let()) == ([], [])
    remote.say(7, "accept", sha("p1")[:7])
    remote.look()
    assert remote.policies() == [(7, "mean", "", "maya")]
    assert remote.let() == [("mean", pull_branch(7), sha("p1"), "maya")]
    assert fields(remote.messages[0])["pull"]["base_commit"] == sha("m1")
    remote.say(7, "accept", sha("p1"))
    remote.look()
    assert (remote.policies(), remote.let()) == ([], []), "it is accepted already"


def test_an_acceptance_is_of_that_commit_that_base_and_while_it_is_open() -> None:
    leaving: list[dict[str, Any]] = [{"head": "p2"}, {"head": "p1", "base": "easy"}, {}]
    for other in leaving:
        remote = Remote()
        remote.open(7, "p1")
        remote.look()
        remote.say(7, "accept", sha("p1"))
        remote.look()
        remote.pulls.clear()
        if other:
            remote.open(7, **other)
        remote.look()
        assert all(by == "" for *_, by in remote.policies())
        remote.open(7, "p1")
        remote.look()
        assert remote.policies() == [(7, "mean", "", "")], "coming back does not bring it back"
        assert remote.let() == []


def test_who_may_accept_for_another_base_accepts_nothing_for_main() -> None:
    """The author's own branch names the author."""
    remote = Remote()
    remote.open(7, "p1")
    remote.open(8, "p1", base="easy")
    remote.look()
    remote.say(8, "accept", sha("p1"))
    remote.press("accept", "p1", scope="into easy")
    remote.look()
    assert remote.policies() == [(8, "mean", "into easy", "maya")]
    assert remote.let() == [("mean", pull_branch(8), sha("p1"), "maya")]
    remote.open(8, "p1", base="main")
    remote.look()
    assert remote.policies() == [(8, "mean", "", "")]


def test_twins_with_one_head_and_one_base_are_accepted_together_also_a_later_one() -> None:
    remote = Remote()
    remote.open(7, "p1")
    remote.open(8, "p1")
    remote.look()
    remote.say(7, "accept", sha("p1"))
    remote.look()
    assert remote.policies() == [(7, "mean", "", "maya"), (8, "mean", "", "maya")]
    remote.open(9, "p1")
    remote.look()
    assert remote.policies() == [(9, "mean", "", "maya")]
    assert remote.let() == [("mean", pull_branch(9), sha("p1"), "maya")]
    assert [m.message.type for m in remote.messages] == ["commit_seen", "rules_accepted"]


def test_the_button_accepts_its_pipeline_and_pressed_again_or_replayed_nothing_more() -> None:
    remote = Remote()
    remote.open(7, "p1")
    remote.look(more={"pipelines": {"a": "mean", "b": "sum"}})
    remote.press("accept", "p1")
    remote.look()
    assert remote.policies() == [(7, "mean", "", "maya")]
    remote.press("accept", "p1")
    remote.look()
    assert (remote.messages, remote.actions) == ([], [])
    remote.open(7, "p2")
    remote.look()
    remote.press("accept", "p1")
    remote.look()
    assert (remote.messages, remote.actions) == ([], [])


def test_a_pipeline_that_is_removed_is_held_until_that_is_accepted_and_then_passes() -> None:
    remote = Remote()
    remote.open(7, "p1")
    remote.look(more={"pipelines": {}, "removed": ("mean",)})
    (held,) = [a for a in remote.actions if isinstance(a, ReportCommit)]
    assert (held.state, held.asks) == ("held", "accept")
    assert "removes mean" in held.title
    assert "accept it for this very commit" in held.text
    remote.press("accept", "p1", check="gates")
    remote.look()
    assert remote.policies() == [(7, "mean", "", "maya")]
    assert remote.reports() == [(sha("p1"), "mean", "accepted")]
    assert remote.let() == [], "there is nothing to run"


def test_a_spec_that_is_broken_beyond_its_name_removes_nothing() -> None:
    remote = Remote()
    remote.look()
    remote.open(7, "p1")
    remote.look(
        more={
            "pipelines": {"ml-pipeline.yaml": "team"},
            "broken": ("ml-pipeline.yaml",),
            "removed": ("mean",),
        }
    )
    assert remote.reports() == []
    assert remote.policies() == [(7, "mean", "", "")]
    assert remote.told() == []


def test_of_a_held_fork_nothing_is_accepted_before_it_is_approved() -> None:
    remote = Remote()
    remote.open(7, "f1", fork=True)
    remote.look(more={"removed": ("sum",)})
    assert [a.asks for a in remote.actions if isinstance(a, ReportCommit)] == ["accept", "approve"]
    remote.say(7, "accept", sha("f1"))
    remote.press("accept", "f1")
    remote.look()
    assert (remote.policies(), remote.let()) == ([], [])
    remote.say(7, "approve", sha("f1"))
    remote.look(more={"removed": ("sum",)})
    assert [m.message.type for m in remote.messages] == ["commit_seen"]
    remote.say(7, "accept", sha("f1"))
    remote.look()
    assert remote.policies() == [(7, "mean", "", "maya"), (7, "sum", "", "maya")]
    assert remote.let() == [("mean", pull_branch(7), sha("f1"), "maya")]


def test_while_the_forge_is_silent_buttons_are_kept_and_it_is_asked_again_soon() -> None:
    remote = Remote()
    buttons = tuple(ButtonPressed(rerun=True, check=n) for n in range(machine.MOST_PRESSED + 5))
    decision = remote.look(pressed=buttons, unheard=True)
    assert decision.requeue_after == machine.RETRY_INTERVAL
    assert decision.state.pressed == buttons[5:], "of very many the last"
    assert remote.look().state.pressed == ()


def test_pull_requests_that_were_not_looked_at_yet_are_looked_at_at_once() -> None:
    decision = machine.decide("team", None, ObservedRepository(default_branch="main", more=True))
    assert decision.requeue_after == 0.0


HEADS = ("f1", "f2", "f3")
words = st.sampled_from(["", *(sha(head) for head in HEADS), *(sha(head)[:12] for head in HEADS)])
comments = st.tuples(
    st.just("say"), st.sampled_from(["plan", "run", "retry", "cancel", "approve"]), words
)
pushes = st.tuples(st.just("push"), st.sampled_from(HEADS), st.booleans())
approvals = st.tuples(st.just("approve"), st.sampled_from(HEADS), st.just(""))
looks = st.tuples(st.just("look"), st.just(""), st.just(""))


@given(st.lists(st.one_of(comments, pushes, approvals, looks), max_size=20))
def test_no_word_of_a_stranger_and_no_push_makes_a_pipeline_see_what_nobody_approved(
    story: list[tuple[str, str, Any]],
) -> None:
    remote = Remote()
    remote.open(7, "f1", fork=True)
    read: set[str] = set()
    for what, word, more in story:
        if what == "push":
            remote.open(7, word, fork=True, base="main" if more else "lenient")
        elif what == "say":
            remote.say(7, word, more, may=False)  # type: ignore[arg-type]  # a drawn verb
        elif what == "approve":
            remote.say(7, "approve", sha(word))
            read.add(sha(word))
        else:
            remote.look()
        for message in remote.messages:
            if (
                fields(message).get("branch") == pull_branch(7)
                and message.message.type != "spec_gone"
            ):
                assert fields(message)["commit"] in read
    assert {commit for _, commit in remote.told()} <= read


moves = st.one_of(
    st.tuples(st.just("open"), st.sampled_from(HEADS), st.sampled_from(["main", "easy"])),
    st.tuples(st.just("close"), st.just(""), st.just("")),
    st.tuples(st.just("accept"), st.sampled_from(HEADS), st.just("")),
    st.tuples(st.just("refused"), st.sampled_from(HEADS), st.just("")),
    st.tuples(st.just("pressed"), st.sampled_from(HEADS), st.sampled_from(["", "into easy"])),
)


@given(st.lists(moves, max_size=15))
def test_what_is_called_accepted_was_accepted_for_that_commit_and_base_since_it_came(
    story: list[tuple[str, str, str]],
) -> None:
    remote = Remote()
    word: tuple[str, str] | None = None
    for what, head, base in story:
        now = remote.pulls.get(7)
        if what == "open":
            remote.open(7, head, base=base)
        elif what == "close":
            remote.pulls.pop(7, None)
        elif what == "pressed":
            remote.press("accept", head, scope=base)
        else:
            remote.say(7, "accept", sha(head), may=what == "accept")
        pull = remote.pulls.get(7)
        stays = (pull.head, pull.base) if pull else None
        if now is None or stays != (now.head, now.base):
            word = None
        if pull and what in ("accept", "pressed") and sha(head) == pull.head:
            of_base = base == ("" if pull.base == "main" else "into easy")
            word = stays if what == "accept" or of_base else word
        remote.look()
        for number, _, scope, by in remote.policies():
            assert number == 7
            assert not by or (
                pull and word == stays and scope == ("" if pull.base == "main" else "into easy")
            )
        for _, _, commit, _ in remote.let():
            assert word is not None
            assert commit == word[0]


def test_a_merge_group_that_removes_a_pipeline_is_held_under_that_pipelines_name() -> None:
    place = ReportPlace(repository="team", commit=sha("g1"), scope="queue")
    group = Pull(number=7, head=sha("g1"), base="main", queued=True)
    told = removed(place, group, "mean", "")
    assert (told.pipeline, told.state, told.asks) == ("mean", "held", "")
    assert "accepted in no open pull request" in told.title


def test_where_the_required_checks_are_known_only_those_have_one_each_and_the_rest_one() -> None:
    remote = Remote()
    remote.open(7, "p1")
    untouched = tuple(f"p{n:04}" for n in range(1000))
    facts = {"untouched": untouched, "required": ("p0007",)}
    remote.look(more=facts)
    assert [p for c, p, _ in remote.reports() if c == sha("p1")] == ["p0007"]
    (rest,) = [a for a in remote.actions if isinstance(a, ReportUntouched)]
    assert rest.title == "nothing to run: #7 changes nothing that these 999 pipelines read"
    assert remote.policies() == [(7, "mean", "", ""), (7, "p0007", "", "")]
    remote.say(7, "run")
    remote.look(more=facts)
    assert remote.policies() == [(7, "mean", "", ""), (7, "p0007", "", "")]


def test_a_pipeline_that_the_last_push_touched_and_this_one_does_not_has_its_section_replaced() -> (
    None
):
    remote = Remote()
    remote.open(7, "p1")
    remote.look()
    remote.open(7, "p2")
    remote.look(more={"pipelines": {}, "untouched": ("mean", "sum", "max"), "required": ()})
    assert remote.reports() == [(sha("p2"), "mean", "skipped")]
    (rest,) = [a for a in remote.actions if isinstance(a, ReportUntouched)]
    assert [*rest.named] == ["max", "sum"]


def test_to_run_the_check_for_all_untouched_pipelines_again_runs_none_of_them() -> None:
    remote = Remote()
    remote.look()
    remote.press("run", "m1", check="untouched", pipeline="")
    remote.look()
    assert (remote.messages, remote.actions) == ([], [])
