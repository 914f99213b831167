"""What a pull request is given of a database."""

import sqlite3
from contextlib import closing
from pathlib import Path

from controller.config.secrets import Secrets
from tests.scenarios.team import SPEC, Team
from tests.scenarios.test_databases import asks_a_database
from tests.scenarios.test_github_untrusted import bold
from tests.scenarios.world import World, run_git

GRAB = """\
import os, sys
sys.exit("it sees " + ("an" if os.environ.get("SHOP") else "no") + " address")
"""


def shop(root: Path) -> str:
    """The address of a database with an order."""
    file = root / "shop.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE orders (id INTEGER, price NUMERIC)")
        connection.execute("INSERT INTO orders VALUES (1, 9.5)")
    return f"sqlite:///{file}"


async def test_without_its_address_a_pull_request_reads_what_main_took_and_asks_for_nothing_else(
    team: Team, world: World
) -> None:
    world.secrets = Secrets({"APP_KEY": team.github.private_key, "SHOP": shop(world.root)})
    asks_a_database(world)
    world.push("Ask a database")
    async with world.controller():
        await world.serves(1)
        _, sha = team.propose("shift", ml_pipeline__yaml=("shift: 0.0", "shift: 1.0"))
        await team.concluded(sha, "success")
        same = await world.ended(2)
        # Were it asked, it would be told that there is no such table.
        pull, _ = team.propose("nowhere", ml_pipeline__yaml=("FROM orders", "FROM nowhere"))
        other = await world.ended(3)
        comment = await team.commented(pull, "mean-3 failed")
    phases = {name: node.phase for name, node in same.nodes.items()}
    assert phases == {"data.numbers": "cached", "train": "succeeded"}
    assert same.datasets != other.datasets
    assert other.nodes["data.numbers"].phase == "failed"
    assert "a run of a pull request is not given the secret SHOP" in comment
    assert "datasets.numbers.query.sql" in bold(comment)
    assert "no such table" not in comment


async def test_a_base_of_its_own_making_does_not_get_a_pull_request_the_address(
    team: Team, world: World
) -> None:
    """Whoever may push makes a branch that marks the secret, and opens a pull request into it."""
    world.secrets = Secrets({"APP_KEY": team.github.private_key, "SHOP": shop(world.root)})
    asks_a_database(world)
    world.push("Ask a database")
    async with world.controller():
        await world.serves(1)
        run_git(world.work, "switch", "-q", "-c", "generous", "main")
        spec = world.work / SPEC
        marks = "triggers:\n  pull_requests: {secrets: [SHOP]}\n"
        spec.write_text(spec.read_text().replace("triggers:\n", marks))
        world.push("Mark the secret")
        run_git(world.work, "switch", "-q", "-c", "grab")
        (world.work / "grab.py").write_text(GRAB)
        fetched = 'fetch: {run: "python grab.py {output}", secrets: [SHOP], reads: [grab.py]}'
        text = spec.read_text().replace("FROM orders", "FROM nowhere")
        text = text.replace("datasets:\n", f"datasets:\n  grabbed: {{{fetched}}}\n")
        given = "    inputs: {grabbed: datasets.grabbed, "
        spec.write_text(text.replace("    inputs: {", given, 1))
        world.push("Grab the address")
        pull = team.github.open_pull_request(team.repository, "grab", base="generous")
        run = await world.ended(2)
        comment = await team.commented(pull, "mean-2 failed")
    assert {name: run.nodes[name].phase for name in run.nodes if name.startswith("data.")} == {
        "data.grabbed": "failed",
        "data.numbers": "failed",
    }
    assert "it sees no address" in comment
    assert "a run of a pull request is not given the secret SHOP" in comment
    assert "no such table" not in comment
