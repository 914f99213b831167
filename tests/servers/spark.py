"""Apache Spark in local mode, where pyspark and Java are there."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

DEFAULTS = """\
spark.master local[2]
spark.sql.shuffle.partitions 1
spark.sql.codegen.wholeStage false
spark.sql.codegen.factoryMode NO_CODEGEN
"""
"""Fast for tables of a few rows."""


@pytest.fixture
def spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of Spark's settings, which processes find; skips where there is no Spark."""
    if find_spec("pyspark") is None or shutil.which("java") is None:
        pytest.skip("no Spark: install Java 17 or later and use `make test-spark`")
    folder = tmp_path / "spark-settings"
    folder.mkdir()
    (folder / "spark-defaults.conf").write_text(DEFAULTS)
    monkeypatch.setenv("SPARK_CONF_DIR", str(folder))
    return folder
