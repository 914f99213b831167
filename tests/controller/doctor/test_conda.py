"""What the doctor says of environments of conda."""

from pathlib import Path

import pytest

from controller.doctor.specs import conda
from tests.controller.machine.kit import spec

PROJECT = spec(("environment", {"project": "."}))


def test_conda_is_looked_for_where_a_project_may_be_made_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list(conda([PROJECT], ["uv.lock", "train.py"])) == []
    assert list(conda([spec()], ["environment.yml"])) == []
    (lacking,) = conda([PROJECT], ["app/environment.yml"])
    assert "none of micromamba, mamba, conda is on PATH" in str(lacking)
    program = tmp_path / "conda"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (there,) = conda([PROJECT], ["app/environment.yml"])
    assert str(program) in str(there)
