"""deploy/compose.yaml: read by Compose itself, and what it says to a controller."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from controller.config.settings_file import OWN_VARIABLES, variables
from tests.deploy.chart import DEPLOY

FILE = DEPLOY / "compose.yaml"


def compose() -> list[str]:
    """Docker's own `compose`, or else Debian's `docker-compose`."""
    docker = shutil.which("docker")
    if (
        docker
        and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0
    ):
        return [docker, "compose"]
    if (found := shutil.which("docker-compose")) is not None:
        return [found]
    pytest.skip("no Compose: apt install docker-compose")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as the file's first lines say."""
    (tmp_path / "secrets").mkdir()
    for name in ("secrets/database-password", "secrets/headgate.env", "headgate.yaml"):
        (tmp_path / name).write_text("")
    shutil.copy(FILE, tmp_path)
    return tmp_path


def read_back(folder: Path) -> Any:
    done = subprocess.run([*compose(), "config"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return YAML(typ="safe").load(done.stdout)


def test_compose_accepts_the_file(folder: Path) -> None:
    services = read_back(folder)["services"]
    assert services.keys() == {"controller", "database"}
    assert services["controller"]["read_only"] is True
    waits = services["controller"]["depends_on"]["database"]
    assert waits["condition"] == "service_healthy"
    assert services["database"]["healthcheck"]["test"][1] == "pg_isready"


def test_compose_refuses_a_typing_error(folder: Path) -> None:
    broken = folder / "compose.yaml"
    broken.write_text(broken.read_text().replace("depends_on:", "dependson:"))
    done = subprocess.run([*compose(), "config"], cwd=folder, capture_output=True, text=True)
    assert done.returncode != 0
    assert "dependson" in done.stderr


def test_a_controller_knows_every_variable() -> None:
    services = YAML(typ="safe").load(FILE.read_text())["services"]
    known = {*variables(), *OWN_VARIABLES}
    assert services["controller"]["environment"].keys() <= known


def test_no_secret_is_in_the_file() -> None:
    services = YAML(typ="safe").load(FILE.read_text())["services"]
    for each in services.values():
        for name, value in each["environment"].items():
            assert "PASSWORD" not in name or value.startswith("/run/secrets/")
    # Compose makes ${NAME} of $${NAME}, which the controller fills in.
    assert "$${DATABASE_PASSWORD}@" in services["controller"]["environment"]["HEADGATE_STORE"]
