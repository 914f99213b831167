"""A session of Apache Spark for one judgement.

Where it runs and with how much memory is said by Spark's own configuration (`SPARK_CONF_DIR`);
without one it is this machine. Set here is only what verdicts depend on, and what keeps values of
the data out of logs.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

_EXACT: Final = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.caseSensitive": "true",
    "spark.sql.ansi.enabled": "true",
    # Times in nanoseconds are whole numbers, rather than an error.
    "spark.sql.legacy.parquet.nanosAsLong": "true",
    "spark.sql.parquet.inferTimestampNTZ.enabled": "true",
    "spark.sql.parquet.int96TimestampConversion": "false",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.int96RebaseModeInRead": "CORRECTED",
    # What footers say of floats and texts is not believed.
    "spark.sql.parquet.filterPushdown": "false",
    "spark.sql.parquet.mergeSchema": "false",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
}
_QUIET: Final = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
_NO_LOG: Final = """
rootLogger.level = off
rootLogger.appenderRef.none.ref = none
appender.none.type = Null
appender.none.name = none
"""
"""Logs of Spark quote values. Without an appender it would take its own settings."""
_FIX: Final = "install Headgate with its extra `spark`, and Java 17 or later"


class NoSpark(Exception):  # noqa: N818 - becomes a check
    """There is no session to be had; says why, and what to do."""


@contextmanager
def session(scratch: Path) -> Iterator[Any]:
    """A `SparkSession`, ended with the block; `scratch` is for its own files. Raises `NoSpark`."""
    _look_for_parts()
    settings = scratch / "log4j2.properties"
    settings.write_text(_NO_LOG, encoding="ascii")
    java = (
        f"-Dlog4j2.configurationFile={settings.as_uri()}",
        f"-Djava.io.tmpdir={scratch}",
        "-XX:-UsePerfData",  # else it writes to /tmp, whatever its folder for temporary files
    )
    os.environ["SPARK_SUBMIT_OPTS"] = " ".join(java)
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_DIRS", str(scratch))
    made = _started()
    try:
        yield made
    finally:
        made.stop()


def _look_for_parts() -> None:
    if find_spec("pyspark") is None:
        raise NoSpark(f"pyspark is not installed: {_FIX}")
    if "SPARK_REMOTE" in os.environ:
        raise NoSpark(
            "SPARK_REMOTE names a server of Spark Connect, which gates do not use: set "
            "`spark.master` in the spark-defaults.conf of SPARK_CONF_DIR"
        )
    home = os.environ.get("JAVA_HOME")
    if home and not Path(home, "bin", "java").exists():
        raise NoSpark(f"JAVA_HOME is {home}, where there is no bin/java: {_FIX}")
    if not home and shutil.which("java") is None:
        raise NoSpark(f"there is no Java on PATH, and JAVA_HOME is not set: {_FIX}")


def _started() -> Any:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    building = SparkSession.builder.appName("headgate")
    for key, value in {**_EXACT, **_QUIET}.items():
        building = building.config(key, value)
    try:
        return building.getOrCreate()
    except (PySparkException, Py4JError, OSError) as error:
        why = f"Spark did not start ({type(error).__name__}): it needs Java 17 or later"
        raise NoSpark(f"{why}, and a reachable `spark.master` if one is set") from None
