"""The plan of a pull request, from commits in git and a run in the store to its report."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest

from controller.artifacts import Artifacts
from controller.config.secrets import Secrets
from controller.git import Mirror
from controller.git.repositories import Repositories
from controller.machine.core import Fact, Key
from controller.machine.environments.environment import EnvironmentState
from controller.machine.pipelines.pipeline import Last, PipelineState
from controller.machine.runs.graph import Graph, Rules, key_of, resolve
from controller.machine.runs.graph_builder import build
from controller.machine.runs.run import CachedResult, Progress, Run
from controller.planning.plans import Cache, plan_of_run
from controller.reports.applier import ReportApplier
from controller.reports.changes import PreviousRun, what_changed
from controller.reports.links import NOWHERE
from controller.reports.notes_forge import NotesForge
from controller.reports.plan import render_plan
from controller.store.protocol import Put, Store, Transaction
from tests.controller.cli.conftest import silent_router
from tests.controller.git.git_server import Person
from tests.controller.machine.kit import version
from tests.controller.reports.stories import FLIGHTS, RELEASE, SPEC, done, run
from tests.controller.reports.test_applier import note as note_of
from tests.controller.reports.test_applier import said

SUITE = (
    "name: flights\nexpectations:\n"
    "  - {type: expect_column_values_to_be_unique, kwargs: {column: id}}\n"
    "  - {type: expect_column_values_to_not_be_null, kwargs: {column: id}}\n"
)
FILES = {
    "ml-pipeline.yaml": SPEC,
    "suite.yaml": SUITE,
    "train.py": "train",
    "evaluate.py": "evaluate",
    "data/a.csv": "id",
}


class World:
    """Commits of main and of a pull request, and what runs of both left in the store."""

    def __init__(self, tmp_path: Path, store: Store) -> None:
        self.ada = Person(tmp_path / "ada")
        self.store = store
        self.mirrors = {"flights": Mirror(str(self.ada.remote), tmp_path / "mirror.git")}
        self.repositories = Repositories(self.mirrors, tmp_path / "checkouts")
        self.artifacts = Artifacts(tmp_path / "artifacts")
        self.cache = Cache(store, self.artifacts)
        self.base = self.ada.push(FILES)

    async def graph(self, commit: str, base: str | None = None) -> Graph:
        code = await self.repositories.code("flights", commit, "ml-pipeline.yaml")
        assert code.spec is not None, code.problems
        rules = None
        if base is not None:
            theirs = await self.repositories.code("flights", base, "ml-pipeline.yaml")
            assert theirs.spec is not None
            rules = Rules(spec=theirs.spec, source=theirs.source)
        return build(code.spec, code.source, None, rules)

    async def keep(self, run: Run, graph: Graph, *facts: Fact) -> None:
        put = Put(key=Key("run", run.id), revision=0, text=run.model_dump_json(), live=run.live)
        known = Fact(key=Key("graph", run.id), body=graph.plain())
        await self.store.commit(Transaction(put=put, facts=(known, *facts)), now=1.0)

    async def main_ran(self) -> None:
        """A run of main passed, and its gate of the data is in the cache."""
        graph = await self.graph(self.base)
        nodes = {node.name: done(4.0, out="o") for node in graph.nodes}
        passed = run(self.base, nodes, number=11)
        await self.keep(passed, graph, await self.hit(graph, "gate.data.flights", passed))
        last = Last(run=passed.id, commit=self.base, fingerprint="f", outcome="passed")
        state = PipelineState(
            name="flight-delay", repository="flights", default_branch="main", last={"main": last}
        )
        put = Put(
            key=Key("pipeline", state.name), revision=0, text=state.model_dump_json(), live=True
        )
        await self.store.commit(Transaction(put=put), now=1.0)

    async def hit(self, graph: Graph, name: str, by: Run) -> Fact:
        node = graph.by_name[name]
        digests = resolve(node, lambda *_: "", by.datasets)
        made = await self.artifacts.put_bytes(f"what {name} made".encode())
        hit = CachedResult(run=by.id, outputs=dict.fromkeys(node.attempt.outputs, made.digest))
        return Fact(key=Key("cache", key_of(node, digests)), body=hit.plain())

    async def pull(self, files: dict[str, str]) -> tuple[Run, Graph]:
        """A run of a pull request that changes these files."""
        head = self.ada.push(files, branch="mine")
        graph = await self.graph(head, self.base)
        going = run(
            head,
            {"train": Progress(key="k")},
            finished=None,
            branch="pull request 12",
            pull=12,
            base=self.base,
            releases=False,
        )
        return going, graph


@pytest.fixture
def world(tmp_path: Path, store: Store) -> World:
    return World(tmp_path, store)


LOOSENED = {
    "ml-pipeline.yaml": SPEC.replace("at_least: 0.6", "at_least: 0.5"),
    "suite.yaml": SUITE.replace(SUITE.splitlines(keepends=True)[2], ""),
}


async def test_loosened_rules_stand_first_and_in_bold_and_those_of_the_base_stay(
    world: World,
) -> None:
    await world.main_ran()
    going, graph = await world.pull(LOOSENED)
    plan = await plan_of_run(world.cache, world.repositories, going, graph)
    assert plan is not None
    text = render_plan(plan, going)
    assert text.startswith("### ⚠️ This loosens 2 rules\n\n> **The gates of the base branch")
    assert "| ⚠️ | **suite.yaml: id** | **unique values** | **removed** |" in text
    assert "**at least 0.6** | **at least 0.5** |" in text
    assert "`gate.data.flights` judges flights: suite.yaml, as on the base branch" in text
    assert "runs: the suite is proposed here" in text


async def test_a_plan_says_what_runs_what_is_cached_why_on_what_data_and_for_how_long(
    world: World,
) -> None:
    await world.main_ran()
    going, graph = await world.pull({"train.py": "deeper"})
    plan = await plan_of_run(world.cache, world.repositories, going, graph)
    assert plan is not None
    text = render_plan(plan)
    assert "loosens" not in text
    assert "**up to 3 steps to run, 1 cached**, about 12 s, compared with no baseline" in text
    assert "| ♻️ | `gate.data.flights` |  | cached, as in flight-delay-11 |" in text
    assert "| ▶️ | `train` | 4 s | runs: train.py changed |" in text
    assert "| unchanged |" in text
    assert plan.datasets[0].version == FLIGHTS


async def test_what_changed_is_read_from_the_reasons_that_a_plan_gives(world: World) -> None:
    await world.main_ran()
    deeper = SPEC.replace("{inputs.flights} {outputs.model}", "{outputs.model} {params.depth}")
    files = {"ml-pipeline.yaml": f"{deeper}params: {{depth: 9}}\n", "train.py": "deeper"}
    going, graph = await world.pull(files)
    plan = await plan_of_run(world.cache, world.repositories, going, graph)
    assert plan is not None
    reasons = [reason for node in plan.nodes for reason in node.reasons]
    assert any("before it" in reason for reason in reasons)
    text = "\n".join(what_changed(plan, {}, PreviousRun(), NOWHERE, None))
    assert "- `params.depth`: `nothing` → `9` (`train`)" in text
    assert "train.py changed" in text
    assert "before it" not in text, "it follows from another reason"


async def test_a_plan_says_when_production_has_too_little_traffic_for_the_canary_to_come(
    world: World, tmp_path: Path
) -> None:
    await world.main_ran()
    going, graph = await world.pull({"ml-pipeline.yaml": SPEC + RELEASE, "serve.py": "serve"})
    env = EnvironmentState(
        pipeline="flight-delay", name="production", repository="flights", stable=version(1).ref
    )
    key = Key("environment", env.place)
    put = Put(key=key, revision=0, text=env.model_dump_json(), live=True)
    await world.store.commit(Transaction(put=put), now=1.0)
    cache = world.cache._replace(home=tmp_path / "home")
    with ExitStack() as stack:
        router = silent_router(tmp_path / "home", env.place)
        await asyncio.to_thread(stack.enter_context, router)
        plan = await plan_of_run(cache, world.repositories, going, graph)
    assert plan is not None
    text = render_plan(plan)
    assert "This canary cannot be decided without traffic" in text
    assert "or choose `strategy: direct`" in text


async def test_what_a_run_made_itself_is_not_called_cached(world: World) -> None:
    await world.main_ran()
    going, graph = await world.pull({"train.py": "deeper"})
    await world.keep(going, graph, await world.hit(graph, "train", going))
    plan = await plan_of_run(world.cache, world.repositories, going, graph)
    assert plan is not None
    fates = {node.name: node.what for node in plan.nodes}
    assert (fates["gate.data.flights"], fates["train"]) == ("cached", "run")


async def test_the_report_has_the_plan_while_it_runs_and_the_rules_to_the_end(
    world: World,
) -> None:
    await world.main_ran()
    going, graph = await world.pull(LOOSENED)
    await world.keep(going, graph)
    forge = NotesForge(world.mirrors)
    applier = ReportApplier(world.store, world.artifacts, world.repositories, forge, Secrets({}))

    async def note(state: str) -> str:
        action = said(going, state, state).model_copy(update={"pull": 12})
        await applier.apply(Key("run", going.id), action)
        return note_of(world.ada, going.commit)

    text = await note("running")
    assert text.index("This loosens 2 rules") < text.index("Plan") < text.index("Gates that apply")
    assert "comment `/headgate cancel`" in text
    over = going.model_copy(update={"finished": 1200.0, "nodes": {"train": done(4, model="m")}})
    put = Put(key=Key("run", over.id), revision=1, text=over.model_dump_json(), live=False)
    await world.store.commit(Transaction(put=put), now=2.0)
    text = await note("passed")
    assert "This loosens 2 rules" in text
    assert "Gates that apply" not in text
    assert text.count(world.base[:12]) == 2, "in whose gates judged, and in what is compared"
    assert "`headgate policy / flight-delay` fails until a repository administrator" in text
    assert "reused, not trained again" in text


async def test_a_base_whose_spec_is_broken_is_held_to_the_last_rules_that_it_had(
    world: World,
) -> None:
    broken = world.ada.push({"ml-pipeline.yaml": "steps: []\n"})
    going, graph = await world.pull(LOOSENED)
    plan = await plan_of_run(
        world.cache, world.repositories, going.model_copy(update={"base": broken}), graph
    )
    assert plan is not None
    assert plan.policy_base == world.base
    assert "This loosens 2 rules" in render_plan(plan)


async def test_who_may_accept_is_as_the_base_says_whatever_the_pull_request_says(
    world: World,
) -> None:
    base = world.ada.push({"ml-pipeline.yaml": SPEC + 'policy: {approvers: ["@grace"]}\n'})
    own = LOOSENED["ml-pipeline.yaml"] + 'policy: {approvers: ["@mallory"]}\n'
    going, graph = await world.pull({"ml-pipeline.yaml": own})
    going = going.model_copy(update={"base": base})
    plan = await plan_of_run(world.cache, world.repositories, going, graph)
    assert plan is not None
    assert plan.approvers == ("@grace",)
