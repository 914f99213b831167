"""A gate on Spark is given what this machine says about Spark."""

from pathlib import Path

import pytest

from controller.executors.spark import spark_setup


def test_folders_that_are_named_are_passed_on_and_may_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("JAVA_HOME", "SPARK_HOME", "HADOOP_CONF_DIR", "SPARK_REMOTE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SPARK_CONF_DIR", "/etc/spark")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for gates")
    assert spark_setup() == ({"SPARK_CONF_DIR": "/etc/spark"}, (Path("/etc/spark"),))
