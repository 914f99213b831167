"""Plans: of a work tree and of commits, with and without a controller's state."""

import asyncio
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from controller.artifacts import Artifacts
from controller.buckets.catalog import Catalog
from controller.machine.core import Fact, Key, parsed
from controller.machine.pipelines.pipeline import Last, PipelineState
from controller.machine.runs.graph import Graph, fingerprint, key_of, resolve
from controller.machine.runs.run import CachedResult, Progress, Run
from controller.planning.checkout import (
    WORK_TREE,
    checkout_of,
    default_base,
    files_at,
)
from controller.store.protocol import Put, Store, Transaction
from tests.controller.cli import seeds
from tests.controller.cli.conftest import Desk, desk
from tests.controller.git.git_server import run_git
from validators.verdict import Verdict

__all__ = ["desk"]

SUITE = "name: rows\nexpectations: [{type: expect_table_row_count_to_equal, kwargs: {value: 1}}]\n"
FILES = {
    "ml-pipeline.yaml": seeds.SPEC,
    "train.py": "train\n",
    "evaluate.py": "evaluate\n",
    "serve.py": "serve\n",
    "suite.yaml": SUITE,
    "data/a.csv": "a,b\n",
}


def plan(at: Desk, *options: str) -> dict[str, Any]:
    result = at.do("plan", str(at.person.clone), "--json", *options)
    assert result.exit_code == 0, result.stderr
    made: dict[str, Any] = json.loads(result.stdout)
    return made


def fates(made: dict[str, Any]) -> dict[str, str]:
    return {node["name"]: node["what"] for node in made["nodes"]}


def remember(at: Desk, made_of: Graph, rows: str) -> None:
    """Save the state that a passing run of that graph leaves."""
    datasets = {"rows": rows}
    run = seeds.run(1, datasets=datasets, fingerprint=fingerprint(made_of, datasets))
    outputs = asyncio.run(_stored(at.home / "artifacts", run))
    nodes = {
        name: progress.model_copy(update={"outputs": outputs[name]})
        for name, progress in run.nodes.items()
    }
    run = run.model_copy(update={"nodes": nodes})
    facts = []
    for node in made_of.nodes:
        digests = resolve(node, lambda name, output: outputs[name][output], run.datasets)
        hit = CachedResult(run=run.id, outputs=outputs[node.name], seconds=4.0)
        facts.append(Fact(key=Key("cache", key_of(node, digests)), body=hit.plain()))
    pipeline = seeds.put("pipeline", "toy", seeds.pipeline(run))
    at.keep(Transaction(facts=tuple(facts)), *seeds.run_changes(run, made_of), pipeline)


async def _stored(folder: Path, run: Run) -> dict[str, dict[str, str]]:
    """The digests of each node's outputs, which are stored now."""
    artifacts = Artifacts(folder)
    return {
        node: {
            name: (await artifacts.put_bytes(digest.encode())).digest
            for name, digest in (progress.outputs or {}).items()
        }
        for node, progress in run.nodes.items()
    }


@pytest.fixture
def told(desk: Desk) -> Desk:
    """A pushed pipeline that ran once, as the state records it."""
    commit = desk.person.push(FILES)
    files = files_at(checkout_of(desk.person.clone), commit)
    rows = plan(desk)["datasets"][0]["version"]
    remember(desk, seeds.graph(files=files), rows)
    return desk


def test_a_suite_behind_a_link_is_compared_by_its_content(desk: Desk) -> None:
    (desk.person.clone / "suite.yaml").symlink_to("suites/rows.yaml")
    others = {name: text for name, text in FILES.items() if name != "suite.yaml"}
    base = desk.person.push({**others, "suites/rows.yaml": SUITE})
    (desk.person.clone / "suites/rows.yaml").write_text("name: rows\nexpectations: []\n")
    made = plan(desk, "--base", base)
    assert any(change["loosens"] and "suite" in change["rule"] for change in made["policy"]), made
    assert plan(desk, "--base", base, "--commit", desk.person.push({}))["policy"] == made["policy"]


def test_without_a_state_everything_runs_and_the_plan_says_why(desk: Desk) -> None:
    desk.person.push(FILES)
    made = plan(desk)
    assert set(fates(made).values()) == {"run"}
    assert made["commit"] == WORK_TREE
    assert made["compared_with"] is None
    assert "no controller state" in made["notes"][0]
    assert made["nodes"][0]["why"] == ["there is no earlier run to compare with"]


def test_a_commit_that_only_changes_documents_runs_nothing(told: Desk) -> None:
    told.person.push({"README.md": "hello\n"})
    made = plan(told)
    assert made["nothing_to_do"]
    assert set(fates(made).values()) == {"cached"}
    assert (
        "nothing to run: nothing it reads has changed since toy-1"
        in told.do("plan", str(told.person.clone)).stdout
    )


def test_results_that_a_sweep_has_deleted_do_not_count_as_cached(told: Desk) -> None:
    shutil.rmtree(told.home / "artifacts")
    assert set(fates(plan(told)).values()) == {"unneeded"}
    (told.person.clone / "train.py").write_text("other\n")
    assert set(fates(plan(told)).values()) == {"run"}


def test_a_changed_parameter_runs_the_steps_that_use_it_and_is_named(told: Desk) -> None:
    spec = told.person.clone / "ml-pipeline.yaml"
    spec.write_text(seeds.SPEC.replace("depth: 3", "depth: 9"))
    made = plan(told)
    assert fates(made) == {
        "gate.data.rows": "cached",
        "train": "run",
        "evaluate": "run",
        "gate.model": "run",
    }
    why = {node["name"]: node["why"] for node in made["nodes"]}
    assert why["train"] == ["params.depth went from 3 to 9"]
    assert why["evaluate"] == ["train runs before it"]
    assert made["seconds"] == pytest.approx(12.0)


def test_a_changed_file_is_named_for_each_step_that_reads_it(told: Desk) -> None:
    (told.person.clone / "evaluate.py").write_text("other\n")
    made = plan(told)
    assert fates(made)["train"] == "cached"
    assert made["nodes"][2]["why"] == ["evaluate.py changed"]


def test_a_change_in_the_second_of_the_commit_is_seen(told: Desk) -> None:
    """git compares sizes and whole seconds, and reads files that are not older than its index."""
    run_git(told.person.clone, "config", "core.trustctime", "false")
    file, index = told.person.clone / "evaluate.py", told.person.clone / ".git" / "index"
    before = file.stat().st_mtime_ns
    file.write_text(file.read_text().upper())
    for path in (file, index):
        os.utime(path, ns=(before, before))
    assert plan(told)["nodes"][2]["why"] == ["evaluate.py changed"]


def test_new_data_is_named_with_both_versions(told: Desk) -> None:
    (told.person.clone / "data" / "b.csv").write_text("c,d\n")
    made = plan(told)
    (rows,) = made["datasets"]
    assert rows["version"] != rows["was"]
    assert set(fates(made).values()) == {"run"}
    assert made["nodes"][0]["why"][0].startswith("rows went from ")


def test_the_gates_of_the_base_are_planned_and_marked_as_the_bases(told: Desk) -> None:
    base = run_git(told.person.clone, "rev-parse", "HEAD")[:12]
    (told.person.clone / "suite.yaml").write_text(SUITE.replace("value: 1", "value: 2"))
    made = plan(told)
    assert fates(made)["gate.data.rows"] == "cached", "the base's suite has judged this data"
    assert fates(made)["gate.data.rows.proposed"] == "run"
    assert [gate["of_base"] for gate in made["gates"]][:2] == [True, False]
    whose = f"it is judged like a pull request, by the gates of its base {base}"
    assert whose in made["notes"]
    page = told.do("plan", str(told.person.clone), "--format", "markdown").stdout
    assert page.startswith("### ⚠️ This loosens a rule\n\n> **The gates of the base branch")
    assert "`gate.data.rows` judges rows: suite.yaml, as on the base branch" in page
    assert f"- {whose}" in page
    assert "| ▶️ | `gate.data.rows.proposed` |" in page


@pytest.mark.parametrize(("reads", "counts"), [("ml-pipeline.other.yaml", True), ("'*'", False)])
def test_another_spec_of_the_folder_counts_for_a_plan_if_a_step_names_it(
    desk: Desk, reads: str, counts: bool
) -> None:
    mine = seeds.SPEC.replace("reads: [train.py]", f"reads: [train.py, {reads}]")
    other = seeds.SPEC.replace("name: toy", "name: other")
    desk.person.push({**FILES, "ml-pipeline.yaml": mine, "ml-pipeline.other.yaml": other})
    spec = desk.person.clone / "ml-pipeline.other.yaml"
    spec.write_text(f"# a comment\n{other}")

    done = desk.do("plan", str(spec.with_name("ml-pipeline.yaml")), "--json")

    notes = json.loads(done.stdout)["notes"]
    assert any("it is judged like a pull request" in note for note in notes) == counts


def test_a_loosened_gate_is_shown_in_the_plan(told: Desk) -> None:
    spec = told.person.clone / "ml-pipeline.yaml"
    spec.write_text(seeds.SPEC.replace("at_least: 0.6", "at_least: 0.1"))
    (change,) = plan(told)["policy"]
    assert (change["loosens"], change["was"], change["now"]) == (
        True,
        "at least 0.6",
        "at least 0.1",
    )
    told.person.push({}, branch="other")
    made = plan(told, "--commit", "HEAD", "--base", "HEAD~1")
    assert len(made["policy"]) == 1
    assert "! LOOSENED gates.model" in told.do("plan", str(told.person.clone)).stdout


def test_the_base_is_the_fork_point_from_the_remotes_main_branch(desk: Desk) -> None:
    first = desk.person.push(FILES)
    desk.person.push({"train.py": "mine\n"}, branch="mine")
    run_git(desk.person.clone, "fetch", "-q", "origin")
    assert default_base(checkout_of(desk.person.clone)) == first


def test_data_that_cannot_be_listed_is_reported_and_counts_as_changed(desk: Desk) -> None:
    text = seeds.SPEC.replace("data/*.csv", "s3://lake/rows/*.csv")
    desk.person.push(FILES | {"ml-pipeline.yaml": text})
    (rows,) = plan(desk)["datasets"]
    assert rows["version"] is None
    assert "s3://lake" in rows["problem"]


def test_a_database_is_queried_if_its_secret_is_known_and_otherwise_the_plan_says_so(
    desk: Desk, tmp_path: Path
) -> None:
    query = '{query: {url: "${SHOP}", sql: "SELECT 1", version: "SELECT count(*) FROM orders"}'
    text = seeds.SPEC.replace('{uri: "data/*.csv"', query)
    desk.person.push(FILES | {"ml-pipeline.yaml": text})
    (rows,) = plan(desk)["datasets"]
    assert rows["version"] is None
    assert "the database was not queried: the secret SHOP is not set" in rows["problem"]
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    (tmp_path / "secrets.env").write_text(f"SHOP=sqlite:///{tmp_path}/shop.db\n")
    settings = desk.settings.read_text()
    desk.settings.write_text(f"{settings}secrets: {tmp_path}/secrets.env\n")
    made = plan(desk)
    assert made["datasets"][0]["version"].startswith("sha256:")
    assert fates(made)["data.rows"] == "run"


def test_a_plan_that_cannot_be_made_fails_with_one_message(desk: Desk, tmp_path: Path) -> None:
    outside = desk.do("plan", str(tmp_path))
    assert outside.exit_code == 1
    assert "git" in outside.stderr
    desk.person.push({"a.txt": ""})
    nothing = desk.do("plan", str(desk.person.clone))
    assert (nothing.exit_code, "headgate init" in nothing.stderr) == (1, True)
    desk.person.push({"ml-pipeline.yaml": "steps: []\n"})
    wrong = desk.do("plan", str(desk.person.clone))
    assert (wrong.exit_code, "ml-pipeline.yaml:1:" in wrong.stderr) == (1, True)
    unknown = desk.do("plan", str(desk.person.clone), "--base", "--output=/x")
    assert (unknown.exit_code, "no commit" in unknown.stderr) == (1, True)


# -- what is so -------------------------------------------------------------------------------


def text(at: Desk) -> str:
    return at.do("plan", str(at.person.clone)).stdout


def second(at: Desk, outcome: str) -> None:
    """A second run, with other parameters: the newest of the default branch."""
    stopped = seeds.passed("toy-2", "gate.model", Verdict.FAIL)
    facts: dict[str, dict[str, Any]] = {
        "failed": {"nodes": {"train": Progress(failed="no memory left")}},
        "stopped": {"nodes": {**seeds.run(2).nodes, "gate.model": stopped}},
        "running": {"nodes": {"train": Progress()}, "finished": None},
    }
    other = seeds.graph(seeds.SPEC.replace("depth: 3", "depth: 5"))
    run = seeds.run(2, **facts[outcome])
    assert run.outcome == outcome
    first = seeds.run(1)

    async def read(store: Store) -> PipelineState:
        record = await store.get(Key("pipeline", "toy"))
        assert record is not None
        return parsed(PipelineState, record.body)

    before = at.look(read)
    assert isinstance(before, PipelineState)
    last = Last(run=run.id, commit=run.commit, fingerprint="other", outcome=outcome)
    after = before.model_copy(
        update={"last": {"main": last}, "passed": {"main": before.last["main"]}}
    )
    assert before.last["main"].run == first.id
    put = Put(key=Key("pipeline", "toy"), revision=1, text=after.model_dump_json(), live=True)
    at.keep(*seeds.run_changes(run, other), Transaction(put=put))


@pytest.mark.parametrize("outcome", ["failed", "stopped", "running"])
def test_a_plan_is_compared_with_the_last_run_that_passed_and_not_with_the_newest(
    told: Desk, outcome: str
) -> None:
    second(told, outcome)
    made = plan(told)
    assert (made["compared_with"], made["stands"], made["nothing_to_do"]) == (
        "toy-1",
        "toy-1",
        True,
    )
    (told.person.clone / "train.py").write_text("other\n")
    made = plan(told)
    assert made["compared_with"] == "toy-1"
    assert made["nodes"][1]["why"] == ["train.py changed"], "and no parameter of toy-2"


def test_a_step_whose_input_is_cached_from_a_failed_run_says_what_is_new(
    told: Desk,
) -> None:
    """The run that passed has a result of it, but for another model."""
    spec = seeds.SPEC.replace("depth: 3", "depth: 5")
    clone = told.person.clone
    commit = told.person.push({"ml-pipeline.yaml": spec})
    graph = seeds.graph(spec, files=files_at(checkout_of(clone), commit))
    train = graph.by_name["train"]
    rows = plan(told)["datasets"][0]["version"]
    digests = resolve(train, lambda *_: "", {"rows": rows})
    stored = asyncio.run(Artifacts(told.home / "artifacts").put_bytes(b"another"))
    hit = CachedResult(
        run="toy-2", outputs=dict.fromkeys(train.attempt.outputs, stored.digest), seconds=1
    )
    told.keep(
        Transaction(facts=(Fact(key=Key("cache", key_of(train, digests)), body=hit.plain()),))
    )
    made = {node["name"]: node for node in plan(told)["nodes"]}
    assert made["train"]["why"] == ["as in toy-2"]
    assert made["evaluate"]["what"] == "run"
    assert made["evaluate"]["why"] == ["train made another result"]


def test_a_state_that_does_not_record_what_passed_finds_it_among_its_runs(told: Desk) -> None:
    assert plan(told)["compared_with"] == "toy-1", "`remember` leaves no `passed`"


def test_a_plan_with_steps_to_run_never_says_nothing_to_run(told: Desk) -> None:
    """After the first release there is a baseline that no run was compared with yet."""
    version = seeds.version(1)
    told.keep(
        seeds.put("environment", "toy/production", seeds.environment(stable=version.ref)),
        Transaction(facts=(seeds.fact("model", "toy/1", version),)),
    )
    made = plan(told)
    assert (made["nothing_to_do"], made["baseline"]) == (True, 1)
    assert set(fates(made).values()) == {"cached", "unneeded"}
    shown = text(told)
    assert "nothing to run: nothing it reads has changed since toy-1" in shown
    assert "run  " not in shown
    assert "not needed; if forced: there is a baseline now" in " ".join(shown.split())
    page = told.do("plan", str(told.person.clone), "--format", "markdown").stdout
    assert "**Nothing to run**" in page
    assert "runs only if forced: there is a baseline now" in page
    assert "runs:" not in page


def test_the_count_of_steps_is_an_upper_bound_if_it_depends_on_results(
    told: Desk,
) -> None:
    (told.person.clone / "evaluate.py").write_text("other\n")
    assert "up to 3 steps to run, 3 cached" in text(told)
    (told.person.clone / "evaluate.py").write_text("evaluate\n")
    (told.person.clone / "suite.yaml").write_text(SUITE.replace("value: 1", "value: 2"))
    assert [node["sure"] for node in plan(told)["nodes"] if node["what"] == "run"] == [True]
    assert " 1 step to run, 4 cached" in text(told)
    assert "up to" not in text(told)


def test_secrets_that_a_pull_request_does_not_get_are_named_as_such(
    desk: Desk,
) -> None:
    spec = seeds.SPEC.replace(
        "    reads: [train.py]", "    reads: [train.py]\n    secrets: [TOKEN]"
    )
    commit = desk.person.push({**FILES, "ml-pipeline.yaml": spec})
    files = files_at(checkout_of(desk.person.clone), commit)
    rows = plan(desk)["datasets"][0]["version"]
    remember(desk, seeds.graph(spec, files=files), rows)
    (desk.person.clone / "README.md").write_text("words\n")
    made = plan(desk)
    assert made["nothing_to_do"], "what it may be given changes nothing of the commit"
    (desk.person.clone / "evaluate.py").write_text("other\n")
    made = plan(desk)
    assert made["nodes"][1]["why"] == ["it runs without the secret TOKEN, which toy-1 was given"]
    marked = spec + "triggers: {pull_requests: {secrets: [TOKEN]}}\n"
    desk.person.push({"ml-pipeline.yaml": marked})
    assert fates(plan(desk))["train"] == "cached", "the base marks it for pull requests"


def test_objects_that_were_added_removed_or_changed_are_named_with_their_rows(told: Desk) -> None:
    clone = told.person.clone
    spec = seeds.SPEC.replace("data/*.csv", "data/*")
    for month, count in ((4, 3), (5, 2)):
        pq.write_table(pa.table({"a": range(count)}), clone / f"data/2013-{month:02}.parquet")
    commit = told.person.push({"ml-pipeline.yaml": spec})

    async def list_as_a_controller_does() -> str:
        catalog = Catalog(told.home / "datasets", wall=lambda: 0.0)
        return (await catalog.list("data/*", repository=clone)).manifest.digest

    rows = asyncio.run(list_as_a_controller_does())
    graph = seeds.graph(spec, files=files_at(checkout_of(clone), commit))
    run = seeds.run(1, datasets={"rows": rows})

    told.keep(*(change for change in again(seeds.run_changes(run, graph))))
    pq.write_table(pa.table({"a": range(27_128)}), clone / "data/2013-06.parquet")
    pq.write_table(pa.table({"a": range(7)}), clone / "data/2013-05.parquet")
    (clone / "data/2013-04.parquet").unlink()
    shown = text(told)
    for words in (
        "2013-06.parquet added, 27,128 rows",
        "2013-05.parquet replaced, 7 rows",
        "2013-04.parquet gone",
    ):
        assert words in shown
        assert (
            f"`{words.partition(' ')[0]}` {words.partition(' ')[2]}"
            in told.do("plan", str(clone), "--format", "markdown").stdout
        )
    (data,) = plan(told)["datasets"]
    assert (data["moved"]["added"], data["moved"]["objects"]) == (1, 3)


def again(changes: Sequence[Transaction]) -> Iterator[Transaction]:
    """The same over what is there."""
    for change in changes:
        if change.put is None:
            yield change
        else:
            put = change.put
            revision = put.revision + 1
            yield Transaction(
                put=Put(key=put.key, revision=revision, text=put.text, live=put.live),
                facts=change.facts,
            )
