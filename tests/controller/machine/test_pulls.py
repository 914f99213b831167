"""What a repository makes of pull requests, and of what people ask for on them."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controller.machine.actions import Answer, ReportCommit
from controller.machine.core import Decision, Message
from controller.machine.repositories import repository as machine
from controller.machine.repositories.pull import Command, Heeded, Pull, Verb, line
from controller.machine.repositories.repository import Commit, Observed, Repository
from controller.outbox import parsed
from tests.controller.machine.kit import sha

MEAN = {"": "mean"}


@dataclass
class Remote:
    """A main branch, pull requests, and the repository machine that looks at them."""

    main: str = "m1"
    pulls: dict[int, Pull] = field(default_factory=dict)
    said: list[Command] = field(default_factory=list)
    state: Repository | None = None
    messages: list[Message] = field(default_factory=list)
    """Of the last look."""
    actions: list[Any] = field(default_factory=list)
    ids: set[tuple[str, str]] = field(default_factory=set)

    def open(self, number: int, head: str, **more: Any) -> None:
        facts = {"base": "main", "title": f"Try {head}", **more}
        self.pulls[number] = Pull(number=number, head=sha(head), **facts)

    def say(self, number: int, verb: Verb, argument: str = "", *, may: bool = True) -> None:
        id_ = len(self.said) + 100
        self.said.append(
            Command(
                id=f"comment/{id_}",
                verb=verb,
                argument=argument,
                by="maya" if may else "eve",
                may=may,
                pull=number,
                comment=id_,
            )
        )

    def look(self, *, more: dict[str, Any] | None = None, **facts: Any) -> Decision[Repository]:
        """`more` are facts of the head of each pull request, `facts` of what is observed."""
        heads = {"main": Commit(sha=sha(self.main), pipelines=MEAN)}
        of_head = {"pipelines": MEAN, **(more or {})}
        heads |= {
            line(n): Commit(sha=pull.head, pull=pull, **of_head) for n, pull in self.pulls.items()
        }
        observed = Observed(
            default_branch="main",
            heads=heads,
            pulls=self.pulls,
            asked=tuple(self.said),
            heeded=Heeded(comment=100, at="now"),
            **facts,
        )
        self.said.clear()
        decision = machine.decide("team", self.state, observed)
        self.state = parsed(Repository, decision.state.plain())
        self.messages, self.actions = list(decision.messages), list(decision.actions)
        return decision

    def told(self) -> list[tuple[str, str]]:
        """The commits that pipelines were told of since the last look, by branch."""
        self.look()
        seen = [m.body for m in self.messages if m.type == "commit_seen"]
        return [(body["branch"], body["commit"]) for body in seen if body["branch"] != "main"]

    def reports(self) -> list[tuple[str, str, str]]:
        found = [a for a in self.actions if isinstance(a, ReportCommit)]
        return [(a.commit, a.pipeline, a.state) for a in found]


def test_a_pull_request_is_told_once_as_a_branch_and_again_when_it_moves() -> None:
    remote = Remote()
    remote.open(7, "p1")
    assert remote.told() == [(line(7), sha("p1"))]
    assert remote.told() == []
    remote.open(7, "p2")
    assert remote.told() == [(line(7), sha("p2"))]


def test_one_that_is_for_another_branch_now_is_told_again_as_that_branch_judges_it() -> None:
    remote = Remote()
    remote.open(7, "p1", base="lenient")
    assert remote.told() == [(line(7), sha("p1"))]
    remote.open(7, "p1", base="main")
    assert remote.told() == [(line(7), sha("p1"))]
    assert remote.told() == []


def test_one_that_is_closed_is_gone_for_its_pipelines_and_told_anew_when_it_is_reopened() -> None:
    remote = Remote()
    remote.open(7, "p1")
    remote.look()
    del remote.pulls[7]
    remote.look()
    (gone,) = remote.messages
    assert (gone.type, gone.body["branch"], gone.body["commit"]) == ("spec_gone", line(7), None)
    assert gone.body["why"] == "the pull request 7 was closed"
    remote.open(7, "p1")
    assert remote.told() == [(line(7), sha("p1"))]


def test_pipelines_that_it_does_not_touch_or_removes_get_a_terminal_status_each() -> None:
    remote = Remote()
    remote.open(7, "p1")
    remote.look(more={"pipelines": {}, "untouched": ("mean",), "removed": ("sum",)})
    assert (sha("p1"), "mean", "skipped") in remote.reports()
    assert (sha("p1"), "sum", "skipped") in remote.reports()
    assert [m for m in remote.messages if m.body.get("branch") == line(7)] == []


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
    assert remote.told() == [(line(7), sha("f1"))]
    assert remote.told() == []


def test_a_new_push_to_a_fork_is_held_again_and_what_ran_of_the_older_is_gone() -> None:
    remote = Remote()
    remote.open(7, "f1", fork=True)
    remote.look()
    remote.say(7, "approve", sha("f1"))
    remote.look()
    remote.open(7, "f2", fork=True)
    remote.look()
    assert [(m.type, m.body["branch"]) for m in remote.messages] == [("spec_gone", line(7))]
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
    assert len([a for a in remote.actions if isinstance(a, Answer)]) == 4


def test_a_command_is_answered_once_and_reaches_the_pipelines_of_the_pull_request() -> None:
    remote = Remote()
    remote.open(7, "p1")
    remote.look()
    remote.say(7, "run")
    remote.look()
    assert [(m.to.name, m.type, m.body["branch"]) for m in remote.messages] == [
        ("mean", "trigger", line(7))
    ]
    remote.look()
    assert (remote.messages, remote.actions) == ([], [])


def test_while_the_forge_is_silent_buttons_are_kept_and_it_is_asked_again_soon() -> None:
    remote = Remote()
    buttons = tuple({"kind": "rerun", "check": n} for n in range(machine.MOST_PRESSED + 5))
    decision = remote.look(pressed=buttons, unheard=True)
    assert decision.requeue_after == machine.SOON
    assert decision.state.pressed == buttons[5:], "of very many the last"
    assert remote.look().state.pressed == ()


def test_pull_requests_that_were_not_looked_at_yet_are_looked_at_at_once() -> None:
    decision = machine.decide("team", None, Observed(default_branch="main", more=True))
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
            if message.body.get("branch") == line(7) and message.type != "spec_gone":
                assert message.body["commit"] in read
    assert {commit for _, commit in remote.told()} <= read
