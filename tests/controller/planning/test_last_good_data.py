"""What a plan makes of data that is read at its last good version, as the newest has failed."""

from pathlib import Path

from controller.machine.core import parsed
from controller.machine.pipelines.data import origin
from controller.machine.pipelines.pipeline import PipelineState
from controller.machine.runs.data_exceptions import FailedVersion
from controller.machine.runs.data_gate_nodes import question_of
from controller.planning.checkout import checkout_of, files_at
from controller.store.protocol import Store
from tests.controller.cli import seeds
from tests.controller.cli.conftest import Desk, desk
from tests.controller.planning.test_gathering import FILES, fates, plan, remember

__all__ = ["desk"]


def test_a_plan_reads_the_last_good_version_as_a_run_would_and_says_so(
    desk: Desk, tmp_path: Path
) -> None:
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    (bucket / "a.csv").write_text("a,b\n")
    text = seeds.SPEC.replace(
        'uri: "data/*.csv"', f'uri: "file://{bucket}/*.csv", on_failure: use_last_good'
    )
    commit = desk.person.push({**FILES, "ml-pipeline.yaml": text})
    graph = seeds.graph(text, files_at(checkout_of(desk.person.clone), commit))
    good = plan(desk)["datasets"][0]["version"]
    remember(desk, graph, good)
    (bucket / "a.csv").write_text("c,d\n")
    bad = plan(desk)["datasets"][0]["version"]
    assert bad != good

    where = origin(seeds.spec(text), "rows")
    question = question_of([graph.by_name["gate.data.rows"]])
    failed = FailedVersion(version=bad, question=question, keys=("k",), run="toy-2")
    state = pipeline(desk)
    state = state.model_copy(update={"good": {where: good}, "failing": {where: failed}})
    desk.keep(seeds.put("pipeline", "toy", state, revision=1))

    made = plan(desk)
    assert made["datasets"][0]["version"] == good
    assert set(fates(made).values()) == {"cached"}
    assert made["nothing_to_do"]
    assert any("is read at" in note and "toy-2" in note for note in made["notes"])


def pipeline(at: Desk) -> PipelineState:
    async def ask(store: Store) -> PipelineState:
        (record,) = await store.list("pipeline")
        return parsed(PipelineState, record.body)

    found = at.look(ask)
    assert isinstance(found, PipelineState)
    return found
