"""What is said where processes cannot be confined: by `up` and `doctor`, on a machine without
bubblewrap."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.actions.clone import HEADGATE
from tests.controller.cli.conftest import Desk


@pytest.fixture
def without(tmp_path: Path) -> dict[str, str]:
    """The variables of somebody who has git and uv, and no bubblewrap."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("git", "sh"):
        found = shutil.which(name)
        assert found
        (programs / name).symlink_to(found)
    return {**os.environ, "PATH": str(programs)}


def test_doctor_warns_and_names_what_to_install(desk: Desk, without: dict[str, str]) -> None:
    desk.person.push({"a.txt": ""})
    command = [HEADGATE, "--settings", str(desk.settings), "doctor", "--json"]
    done = subprocess.run(command, env=without, capture_output=True, text=True)
    (found,) = (one for one in json.loads(done.stdout) if one["what"] == "confinement")
    assert found["state"] == "warning"
    assert "including its secrets and state (bwrap is not on PATH)" in found["message"]
    assert "apt install bubblewrap" in found["fix"]


def test_up_warns_in_one_line(desk: Desk, without: dict[str, str]) -> None:
    desk.person.push({"a.txt": ""})
    command = [HEADGATE, "--settings", str(desk.settings), "up"]
    with subprocess.Popen(command, env=without, stderr=subprocess.PIPE, text=True) as up:
        assert up.stderr is not None
        line = up.stderr.readline()
        up.send_signal(signal.SIGTERM)
        up.communicate()
    assert line.startswith("Warning: local steps and model servers are not confined")
    assert line.endswith("allow user namespaces.\n")


@pytest.mark.parametrize(
    ("account", "told"), [("nobody-of-that-name", "create it"), ("root", "name another one")]
)
def test_an_account_that_steps_cannot_run_as_is_an_error(
    desk: Desk, account: str, told: str
) -> None:
    desk.person.push({"a.txt": ""})
    desk.settings.write_text(desk.settings.read_text() + f"run_as: {account}\n")
    result = desk.do("doctor", "--json")
    assert result.exit_code == 1
    (error,) = (one for one in json.loads(result.stdout) if one["what"] == "confinement")
    assert told in error["message"]
    assert desk.do("up").exit_code == 1
