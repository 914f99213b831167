"""What a pull request is given of a database."""

import sqlite3
from contextlib import closing
from pathlib import Path

from controller.secrets import Secrets
from tests.scenarios.team import Team
from tests.scenarios.test_databases import asks_a_database
from tests.scenarios.test_github_untrusted import bold
from tests.scenarios.world import World


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
