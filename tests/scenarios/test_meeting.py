"""Where much meets: two specs of one folder in a monorepo, with a locked project at the root, rows
of a database under a suite of all teams, and a batch that runs a tool of all teams."""

import json
import sqlite3
from contextlib import closing

from controller.config.secrets import Secrets
from controller.machine.core import Key, parsed
from controller.machine.environments.environment import EnvironmentState
from tests.controller.executors.projects import lock
from tests.scenarios.test_several import run_of, said
from tests.scenarios.world import World

HEAD = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: NAME}
environment: {project: //}
steps:
  train:
    run: python {root}/tools/train.py {inputs.rows} {outputs.model}
    reads: ["//tools/train.py", "//src/**"]
    env: {PYTHONPATH: "{root}/src"}
    inputs: {rows: datasets.rows}
    outputs: {model: model.json}
model: steps.train.model
"""
FILES = {
    "pyproject.toml": '[project]\nname = "ours"\nversion = "1"\nrequires-python = ">=3.11"\n',
    "src/shared.py": "FACTOR = 2\n",
    "tools/train.py": """\
import json, os, pathlib, sys
from shared import FACTOR
given, out = map(pathlib.Path, sys.argv[1:])
out.write_text(json.dumps({"sizes": FACTOR * sum(f.stat().st_size for f in given.iterdir())}))
""",
    "tools/score.py": """\
import pathlib, sys
from shared import FACTOR
model, out = map(pathlib.Path, sys.argv[1:])
out.write_text(f"{FACTOR}: {model.read_text()}")
""",
    "suites/orders.yaml": "name: orders\nexpectations:\n"
    "  - {type: expect_table_row_count_to_be_between, kwargs: {min_value: 1}}\n",
    "data/a.csv": "value\n1\n",
    "teams/shop/ml-pipeline.files.yaml": HEAD.replace("NAME", "files")
    + 'datasets: {rows: {uri: "//data/*.csv"}}\nrelease: {batch: {}}\n',
    "teams/shop/ml-pipeline.orders.yaml": HEAD.replace("NAME", "orders")
    + """\
datasets:
  rows:
    query: {url: "${SHOP}", sql: SELECT * FROM orders, version: SELECT count(*) FROM orders}
    expectations: //suites/orders.yaml
release:
  batch:
    run: python {root}/tools/score.py {model} {outputs.scores}
    reads: ["//tools/score.py", "//src/**"]
    env: {PYTHONPATH: "{root}/src"}
    outputs: {scores: scores.txt}
""",
}


async def test_each_change_reaches_those_that_read_it_and_nobody_else(world: World) -> None:
    (world.work / "ml-pipeline.yaml").unlink()
    for name, text in FILES.items():
        (world.work / name).parent.mkdir(parents=True, exist_ok=True)
        (world.work / name).write_text(text)
    lock(world.work)
    shop = world.root / "shop.db"
    with closing(sqlite3.connect(shop)) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
        connection.execute("INSERT INTO orders VALUES (1)")
    world.secrets = Secrets({"SHOP": f"sqlite:///{shop}"})
    world.push("Add two pipelines of one folder")
    async with world.controller():
        first = [await run_of(world, f"{name}-1") for name in ("files", "orders")]
        assert [run.outcome for run in first] == ["passed", "passed"], first
        assert (await scored(world, 1)).startswith("2: ")

        change(world, "src/shared.py", "2", "3")
        again = [await run_of(world, f"{name}-2") for name in ("files", "orders")]
        assert [run.nodes["train"].phase for run in again] == ["succeeded", "succeeded"]
        assert again[1].nodes["data.rows"].phase == "cached", "code asks no database anew"
        assert (await scored(world, 2)).startswith("3: ")

        commit = change(world, "suites/orders.yaml", "min_value: 1", "min_value: 2")
        stopped = await run_of(world, "orders-3")
        note = await said(world, commit, "nothing to run", "orders-3")
    assert stopped.outcome == "stopped"
    assert "nothing to run" in note.split("<!-- headgate: files -->")[1].split("<!-- /head")[0]


def change(world: World, name: str, old: str, new: str) -> str:
    file = world.work / name
    file.write_text(file.read_text().replace(old, new))
    return world.push(f"Change {name}")


async def scored(world: World, version: int) -> str:
    """What the batch of that version wrote in production."""

    async def look() -> str | None:
        record = await world.store.get(Key("environment", "orders/production"))
        job = parsed(EnvironmentState, record.body).job if record else None
        if job is None or job.ended is None or job.version.version != version:
            return None
        return job.outputs["scores"].partition(":")[2]

    digest = await world.until(look, f"the batch of v{version}")
    (found,) = [p for p in (world.root / "home").rglob(f"*{digest[2:]}*") if p.is_file()]
    text = found.read_text()
    assert json.loads(text.partition(": ")[2])["sizes"] > 0
    return text
