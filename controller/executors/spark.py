"""What a gate needs to find Apache Spark as this machine has it set up."""

import os
from pathlib import Path
from typing import Final, NamedTuple

_FOLDERS: Final = ("JAVA_HOME", "SPARK_HOME", "SPARK_CONF_DIR", "HADOOP_CONF_DIR")
_REFUSED: Final = "SPARK_REMOTE"
"""Passed on so that the gate says what to set in its place."""


class SparkSetup(NamedTuple):
    """Spark's own variables."""

    variables: dict[str, str]
    folders: tuple[Path, ...]
    """The folders that they name."""


def spark_setup() -> SparkSetup:
    """As the controller's environment has it."""
    found = {name: os.environ[name] for name in (*_FOLDERS, _REFUSED) if os.environ.get(name)}
    return SparkSetup(found, tuple(Path(found[name]) for name in _FOLDERS if name in found))
