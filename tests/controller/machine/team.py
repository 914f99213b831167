"""A model of the world around one pipeline: commits, buckets, runs that end as they are told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from controller.machine.actions import Notify, ReportCommit
from controller.machine.core import Action, Decision, Envelope, Fact, InboxMessage, Key, parsed
from controller.machine.messages import StartRun
from controller.machine.pipelines import triggering as machine
from controller.machine.pipelines.code import Code
from controller.machine.pipelines.data import DatasetListing
from controller.machine.pipelines.needs import PipelineNeeds, datasets_to_list, needs_of
from controller.machine.pipelines.pipeline import ObservedPipeline, PipelineState, begin
from controller.machine.runs.graph import Graph, key_of
from controller.machine.runs.run import Progress, Run
from specs.digests import digest
from specs.model import SPEC_FILE, Dataset
from tests.controller.machine.kit import fields, message, report, sha, source, spec
from validators.verdict import Verdict

MAIN = "main"
QUIET = ("triggers.data.quiet", "30s")
QUEUE = ("triggers.commits.supersede", "queue")


@dataclass
class Team:
    """The pipeline `mean` and its surroundings. `turn` is a turn of the loop."""

    now: float = 100.0
    state: PipelineState | None = None
    code: dict[str, Code] = field(default_factory=dict)
    buckets: dict[str, DatasetListing] = field(default_factory=dict)
    """By URI."""
    inbox: list[InboxMessage] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    messages: list[Envelope] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    known: dict[str, int] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    ended: dict[str, Run] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.drop("numbers 1")

    # -- what happens ------------------------------------------------------------------------

    def push(
        self,
        name: str,
        *changes: tuple[str, Any],
        branch: str = MAIN,
        path: str = SPEC_FILE,
        broken: bool = False,
        **files: str,
    ) -> str:
        commit = sha(name)
        folder, _, file = path.rpartition("/")
        at = source(name, **files).model_copy(update={"folder": folder, "file": file})
        self.code[commit] = (
            Code(source=at, problems="ml-pipeline.yaml:3: no", problem_count=1)
            if broken
            else Code(source=at, spec=spec(*changes))
        )
        self.see(name, branch, path)
        return commit

    def see(self, name: str, branch: str = MAIN, path: str = SPEC_FILE) -> None:
        body = {"pipeline": "mean", "repository": "team", "spec": path, "branch": branch}
        body |= {"commit": sha(name), "default_branch": MAIN, "subject": name, "author": "ada"}
        self.say("commit_seen", body)

    def lose(self, branch: str = MAIN, at: str | None = None, repository: str = "team") -> None:
        commit = sha(at) if at else None
        why = f"its spec is not on {branch} any more"
        body = {"repository": repository, "branch": branch, "commit": commit, "why": why}
        self.say("spec_gone", body)

    def say(self, type_: str, body: Mapping[str, Any]) -> None:
        self.inbox.append(message(len(self.inbox) + 1, Key("pipeline", "mean"), type_, body))

    def trigger(self, force: bool = False, branch: str = "") -> None:
        body = {"kind": "manual", "why": "ada asked", "branch": branch, "force": force}
        self.say("run_requested", body)

    def drop(self, content: str, uri: str = "file:///bucket/*.csv", **facts: Any) -> str:
        self.buckets[uri] = DatasetListing(digest=digest(content), **facts)
        return digest(content)

    def end(
        self,
        outcome: str = "passed",
        run: str | None = None,
        model: str = "a model",
        stale: Sequence[str] = (),
        stale_at: float | None = None,
        data: Verdict | None = None,
    ) -> None:
        """The run ends; `data` is the verdict of the gate of `numbers`, if it gave one."""
        one = self.runs[run or self.last_run.id]
        failed = {
            "failed": {"train": Progress(failed="no memory left")},
            "stopped": {"gate.model": Progress(outputs={}, verdict=Verdict.FAIL)},
        }
        nodes = failed.get(outcome, {}) if data is None else {}
        nodes |= {"gate.data.numbers": self.judged(one, data)} if data is not None else {}
        over = one.model_copy(update={"finished": self.now, "nodes": nodes})
        if outcome == "cancelled":
            over = over.model_copy(update={"cancelled": "by ada"})
        assert over.outcome == outcome
        self.ended[one.id] = over
        body: dict[str, Any] = {"run": one.id, "branch": one.branch, "outcome": outcome, "why": ""}
        body |= {"model": digest(model), "verdicts": {"model": "PASS"}, "reports": {}}
        body |= {"package": digest(model) if outcome == "passed" else None, "stale": [*stale]}
        body |= {"stale_at": stale_at}
        self.say("run_ended", body)

    def judged(self, run: Run, verdict: Verdict) -> Progress:
        """The data gate of a run once it has judged what the run reads."""
        (body,) = (fact.body for fact in self.facts if fact.key == Key("graph", run.id))
        gate = parsed(Graph, body).by_name["gate.data.numbers"]
        key = key_of(gate, {"dataset": run.datasets["numbers"]})
        return Progress(key=key, outputs={"report": digest("a report")}, verdict=verdict)

    # -- what there is to see ----------------------------------------------------------------

    def observe(self) -> ObservedPipeline:
        """Exactly what the machine says that it needs, as the observer finds it."""
        needs = needs_of(self.state or begin(self.inbox), self.inbox)
        code = {commit: self.code[commit] for commit in needs.specs}
        rules = self.rules(needs)
        listings: dict[str, dict[str, DatasetListing]] = {}
        for need in datasets_to_list(needs, code, rules):
            assert need.code.spec is not None
            dataset = need.code.spec.datasets[need.name]
            listings.setdefault(need.code.source.commit, {})[need.name] = self.seen(dataset)
        ended = {run: self.ended[run] for run in needs.ended}
        code |= {run.commit: self.code[run.commit] for run in ended.values()}
        return ObservedPipeline(
            code=code,
            rules=rules,
            listings=listings,
            ended=ended,
            reports={id_: (report(Verdict.FAIL),) for id_ in ended},
            known={each: self.known[each] for each in needs.packages if each in self.known},
        )

    def rules(self, needs: PipelineNeeds) -> dict[str, Code]:
        """The base's version of the pipeline, by branch of a pull request."""
        commits = {branch: pull.base_commit for branch, pull in needs.pulls.items()}
        return {branch: self.code[sha_] for branch, sha_ in commits.items() if sha_ in self.code}

    def seen(self, dataset: Dataset) -> DatasetListing:
        where = dataset.uri or dataset.address
        return self.buckets.get(where, missing(where))

    def turn(self, dt: float = 1.0) -> Decision[PipelineState]:
        self.now += dt
        decision = machine.decide(self.state, self.observe(), tuple(self.inbox), self.now)
        self.inbox.clear()
        self.state = parsed(PipelineState, decision.state.plain())
        self.actions += decision.actions
        self.messages += decision.messages
        self.facts += decision.facts
        for fact in decision.facts:
            if fact.key.kind == "package":
                self.known[fact.key.name.partition("/")[2]] = fact.body["number"]
        for sent in decision.messages:
            if isinstance(sent.message, StartRun):
                self.runs[sent.to.name] = sent.message.run
        return decision

    @property
    def pipeline(self) -> PipelineState:
        assert self.state is not None
        return self.state

    @property
    def last_run(self) -> Run:
        return list(self.runs.values())[-1]

    def cancelled(self) -> list[str]:
        return [m.to.name for m in self.messages if m.message.type == "cancel_run"]

    def releases(self) -> list[int]:
        return [fields(m)["version"] for m in self.messages if m.message.type == "release"]

    def told(self, commit: str) -> list[tuple[str, str]]:
        reports = [a for a in self.actions if isinstance(a, ReportCommit) and a.commit == commit]
        return [(a.state, a.title) for a in reports]

    def alerts(self) -> list[tuple[str, str, str]]:
        return [(a.event, a.status, a.alert) for a in self.actions if isinstance(a, Notify)]


def missing(uri: str) -> DatasetListing:
    return DatasetListing(settled=False, problem=f"there is no object at {uri} yet")


def began(*changes: tuple[str, Any]) -> Team:
    """A team whose first run passed, and whose version 1 was released."""
    team = Team()
    team.push("c1", *changes)
    team.turn()
    team.turn(30.0)
    team.end()
    team.turn()
    assert team.releases() == [1]
    return team
