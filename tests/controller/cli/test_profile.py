"""`headgate profile`: a suite for somebody's own data, which that data passes."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from controller.cli import main
from tests.scenarios.world import run_git
from validators.data.suites.suite import read_suite

EXAMPLES = Path(__file__).parents[3] / "examples"
SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: shop}
datasets:
  orders: {uri: "data/*.csv", types: {zip: string}}
  stock: {query: {url: "${DB}", sql: "SELECT code, day FROM stock ORDER BY code"}}
  feed: {fetch: {run: fetch it, file: feed.csv}}
steps:
  train: {run: "true", inputs: {orders: datasets.orders}}
"""


def do(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["profile", *arguments])


def shop_in(tmp_path: Path) -> Path:
    """A pipeline with two datasets, one of which is in the repository."""
    folder = tmp_path / "shop"
    (folder / "data").mkdir(parents=True)
    (folder / "ml-pipeline.yaml").write_text(SPEC)
    rows = "".join(f"{at},{2134 + at % 5}\n" for at in range(100))
    (folder / "data" / "orders.csv").write_text(f"order_id,zip\n{rows}")
    run_git(folder, "init", "--quiet")
    return folder


def types_of(text: str) -> dict[str, str]:
    suite = read_suite(text, "proposed.yaml")
    assert suite.problems == ()
    return {
        one.kwargs["column"]: one.kwargs["type_"]
        for one in suite.expectations
        if "type_" in one.kwargs
    }


def test_a_dataset_of_the_spec_is_read_as_the_spec_says(tmp_path: Path) -> None:
    done = do("orders", "--in", str(shop_in(tmp_path)))
    assert done.exit_code == 0, done.stderr
    assert types_of(done.stdout) == {"order_id": "int64", "zip": "string"}
    assert "100 rows in 1 object" in done.stdout
    assert "expectations from 100 rows" in done.stderr


def test_files_need_no_spec(tmp_path: Path) -> None:
    done = do(str(shop_in(tmp_path) / "data" / "orders.csv"))
    assert types_of(done.stdout) == {"order_id": "int64", "zip": "int64"}
    assert read_suite(done.stdout, "x.yaml").expectations[1].kwargs["column_set"] == [
        "order_id",
        "zip",
    ]


def test_a_folder_may_be_a_table_of_which_only_the_live_rows_count() -> None:
    done = do(str(EXAMPLES / "delta-mlflow/lake/trips"))
    assert "1,200 rows in 2 objects" in done.stdout
    assert types_of(done.stdout)["hour"] == "int32"


def test_a_partitioned_folder_has_its_folders_as_columns() -> None:
    done = do("--in", str(EXAMPLES / "three-classes"))
    assert "[Biscoe, Dream, Torgersen]" in done.stdout


def test_a_query_is_asked_for_its_rows_as_a_run_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop, shop:
        shop.execute("CREATE TABLE stock (code TEXT NOT NULL, day TEXT)")
        shop.executemany(
            "INSERT INTO stock VALUES (?, '2026-11-30')", [(f"K-{at:04}",) for at in range(50)]
        )
    monkeypatch.setenv("HEADGATE_SECRET_DB", f"sqlite:///{tmp_path}/shop.db")
    done = do("stock", "--in", str(shop_in(tmp_path)))
    assert done.exit_code == 0, done.stderr
    assert 'regex: "^[A-Z]-[0-9]{4}$"' in done.stdout
    assert "50 rows" in done.stdout


def test_an_existing_file_is_only_overwritten_by_force(tmp_path: Path) -> None:
    folder = shop_in(tmp_path)
    target = folder / "expectations" / "orders.yaml"
    arguments = ("orders", "--in", str(folder), "--output", str(target))
    first = do(*arguments)
    assert first.exit_code == 0, first.stderr
    assert f"Then name it in {folder / 'ml-pipeline.yaml'}" in first.stdout
    target.write_text("mine")
    refused = do(*arguments)
    assert refused.exit_code == 1
    assert "--force overwrites it" in refused.stderr
    assert target.read_text() == "mine"
    assert do(*arguments, "--force").exit_code == 0
    assert types_of(target.read_text())


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "has 3 datasets; name one of them:\n  headgate profile orders\n"),
        (("order",), "has no dataset order, and there is no such file; did you mean orders?"),
        (("stock",), "secret DB"),
        (("feed",), "feed is what `fetch it` fetches, which only a run does: fetch it yourself"),
        (("no/such.csv",), "there is no file no/such.csv"),
        (("s3x://bucket/x",), "s3x://bucket/x"),
        (("orders", "--force"), "--force needs --output"),
    ],
)
def test_what_cannot_be_profiled_is_told_with_the_fix(
    tmp_path: Path, arguments: tuple[str, ...], why: str
) -> None:
    done = do(*arguments, "--in", str(shop_in(tmp_path)))
    assert done.exit_code in (1, 2)
    assert why in done.stderr


def test_broken_data_is_named_with_its_file(tmp_path: Path) -> None:
    folder = shop_in(tmp_path)
    (folder / "data" / "more.csv").write_text("order_id,zip\n1\n")
    done = do("orders", "--in", str(folder))
    assert done.exit_code == 1
    assert "`more.csv` is not readable as CSV" in done.stderr


def test_the_example_without_a_suite_gets_one_that_its_spec_may_name(tmp_path: Path) -> None:
    folder = tmp_path / "minimal"
    shutil.copytree(EXAMPLES / "minimal", folder)
    done = do("--in", str(folder))
    assert done.exit_code == 0, done.stderr
    assert "name: penguins" in done.stdout


def test_init_proposes_a_suite_for_data_that_is_there(tmp_path: Path) -> None:
    folder = tmp_path / "team"
    (folder / "data").mkdir(parents=True)
    shutil.copy(EXAMPLES / "minimal" / "data" / "penguins.csv", folder / "data")
    done = CliRunner().invoke(main, ["init", str(folder)])
    assert done.exit_code == 0, done.stderr
    suite = folder / "expectations" / "data.yaml"
    assert f"Wrote {suite}" in done.stdout
    assert (
        "expectations: expectations/data.yaml   # guessed"
        in (folder / "ml-pipeline.yaml").read_text()
    )
    assert types_of(suite.read_text())["id"] == "int64"


def test_init_says_why_data_has_no_suite_and_drafts_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "team"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "rows.parquet").write_bytes(b"PAR1 but not for long")
    done = CliRunner().invoke(main, ["init", str(folder)])
    assert done.exit_code == 0, done.stderr
    assert "no suite is proposed for data: `rows.parquet` is not readable" in done.stderr
    assert "`headgate profile data` writes one" in (folder / "ml-pipeline.yaml").read_text()
    assert not (folder / "expectations").exists()
