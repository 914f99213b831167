"""Each thing that doctor finds, made wrong for real."""

import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from controller.doctor.examine import packages
from controller.doctor.gates import examine_gates
from controller.machine.core import Key
from controller.machine.environments.environment import EnvironmentState
from controller.machine.environments.job import BatchJob
from controller.store.protocol import Put, Transaction
from deployers.confinement import Confinement, User, View
from tests.controller.cli import seeds
from tests.controller.cli.conftest import Desk, silent_router
from tests.controller.machine.kit import version


def findings(at: Desk, exit_code: int) -> dict[str, list[dict[str, Any]]]:
    result = at.do("doctor", "--json")
    assert result.exit_code == exit_code, result.output
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(result.stdout):
        if finding["what"] in ("confinement", "gates"):
            continue  # not every machine that tests has bubblewrap, or compiled our own packages
        found.setdefault(finding["state"], []).append(finding)
    return found


def test_a_good_setup_passes(desk: Desk) -> None:
    desk.person.push({"a.txt": ""})
    found = findings(desk, 0)
    assert set(found) == {"ok"}
    assert "it accepts pushes" in [finding["message"] for finding in found["ok"]]
    assert "✓ repository toys" in desk.do("doctor").stdout


def test_gates_that_compile_what_they_import_are_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))  # where nothing is compiled
    compiled, served = examine_gates(Confinement())
    assert compiled.state == "warning"
    assert "great_expectations" in compiled.message
    assert compiled.fix.startswith("python -m compileall -q /")
    assert served.state == "ok"


def test_gates_that_no_warm_process_serves_are_a_warning() -> None:
    class Blind(Confinement):
        """Takes the socket away."""

        def within(self, view: View, user: User | None = None) -> tuple[str, ...]:
            del user
            view.reads[-1].unlink()
            return ()

    _, served = examine_gates(Blind())
    assert served.state == "warning"
    assert served.fix


def test_a_remote_that_is_gone_is_an_error_with_its_fix(desk: Desk) -> None:
    desk.person.remote.rename(desk.person.remote.with_name("moved.git"))
    (error,) = findings(desk, 1)["error"]
    assert error["what"] == "repository toys"
    assert "url" in error["fix"]


def test_a_remote_without_a_commit_is_an_error(desk: Desk) -> None:
    (error,) = findings(desk, 1)["error"]
    assert "no commit" in error["message"]


def test_secrets_that_others_can_read_are_a_warning(desk: Desk) -> None:
    desk.person.push({"a.txt": ""})
    desk.settings.write_text(desk.settings.read_text() + "secrets: s.env\n")
    file = desk.settings.parent / "s.env"
    file.write_text("A=1\n")
    file.chmod(0o644)
    (warning,) = findings(desk, 0)["warning"]
    assert warning["fix"] == f"chmod 600 {file}"
    file.write_text("no secret\n")
    assert findings(desk, 1)["error"][0]["what"] == "secrets"


@pytest.mark.parametrize(
    ("job", "state", "said", "fix"),
    [
        ({}, "ok", "the command of v1 is running", ""),
        ({"ended": 9.0}, "ok", "the last command, of v1, succeeded", ""),
        (
            {"ended": 9.0, "failed": "exit code 1:\nthe table is away"},
            "warning",
            "the last command, of v1, failed: exit code 1: the table is away",
            "run it again with `headgate retry mean/production`",
        ),
    ],
)
def test_the_last_batch_command_is_reported(
    desk: Desk, job: dict[str, Any], state: str, said: str, fix: str
) -> None:
    desk.person.push({"a.txt": ""})
    ref = version(1).ref
    env = EnvironmentState(
        pipeline="mean",
        name="production",
        repository="toys",
        stable=ref,
        points=True,
        job=BatchJob(id="mean-production.batch.1", version=ref, why="", asked=8.0, **job),
    )
    key = Key("environment", env.place)
    desk.keep(Transaction(put=Put(key=key, revision=0, text=env.model_dump_json(), live=True)))
    about = [one for one in findings(desk, 0)[state] if one["what"] == "batch mean/production"]
    assert [one["message"] for one in about] == [said]
    assert fix in about[0]["fix"]


def test_a_state_of_a_newer_version_or_a_broken_one_is_an_error(desk: Desk) -> None:
    desk.person.push({"a.txt": ""})
    desk.keep(Transaction())
    state = desk.home / "state.db"
    connection = sqlite3.connect(state)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    assert findings(desk, 1)["error"][0]["what"] == "state"
    for file in desk.home.glob("state.db*"):
        file.unlink()
    state.write_bytes(b"nothing of ours" * 200)
    assert findings(desk, 1)["error"][0]["what"] == "state"


def test_a_canary_that_nobody_watches_is_an_error_with_its_fix(desk: Desk) -> None:
    desk.person.push({"a.txt": ""})
    with silent_router(desk.home, "toy/production"):
        (error,) = findings(desk, 1)["error"]
    assert error["what"] == "canary toy-production-v2"
    assert error["message"].startswith("the router stopped sending traffic to the canary at ")
    assert "headgate up" in error["fix"]


def test_a_package_that_shadows_ours_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution = tmp_path / "other_specs-1.0.dist-info"
    distribution.mkdir()
    (distribution / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: other-specs\nVersion: 1.0\n"
    )
    (distribution / "top_level.txt").write_text("specs\n")
    (distribution / "RECORD").write_text("specs/__init__.py,,\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (finding,) = [finding for finding in packages() if finding.state == "error"]
    assert finding.message == "other-specs also has a package named specs"
    assert "pipx" in finding.fix


def test_github_is_checked_if_the_settings_name_it_and_what_has_no_effect_is_reported(
    desk: Desk,
) -> None:
    desk.person.push({"a.txt": ""})
    desk.settings.write_text(desk.settings.read_text() + "github: {token: GITHUB_TOKEN}\n")
    found = findings(desk, 1)
    (error,) = found["error"]
    assert error["what"] == "github"
    assert "GITHUB_TOKEN" in error["message"]
    (warning,) = found["warning"]
    assert "no repository is on https://github.com" in warning["message"]
    assert "OWNER/NAME" in warning["fix"]


@pytest.mark.parametrize(
    ("facts", "state", "says"),
    [
        ({"unknown": "v2 runs here. Was it lost?"}, "error", "headgate resume toy/production"),
        ({"unwritten_since": 1000.0}, "error", "allow Headgate to push headgate/environments"),
        ({"lost_history": "Somebody force-pushed the environments branch."}, "warning", "protect"),
    ],
)
def test_an_inconsistency_between_an_environment_and_its_branch_is_found(
    desk: Desk, facts: dict[str, Any], state: str, says: str
) -> None:
    desk.person.push({"a.txt": ""})
    env = seeds.environment(stable=seeds.version(1).ref, **facts)
    desk.keep(seeds.put("environment", "toy/production", env))
    (found,) = findings(desk, 1 if state == "error" else 0)[state]
    assert "toy/production" in found["message"]
    assert says in found["fix"]
