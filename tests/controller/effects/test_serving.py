"""Deployments of real versions: the stored model, the commit's code, parameters and secrets."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from controller.config.secrets import Secrets
from controller.effects.serving import Serving
from controller.executors.virtualenvs import Virtualenvs
from controller.git.environments import Environments
from controller.machine.actions import Deploy
from controller.machine.core import InboxMessage, Key
from controller.machine.messages import ReleaseRequested
from controller.observers.environment import EnvironmentObserver
from controller.observers.past import PastReader
from deployers.control import Routing
from deployers.local import LocalDeployer
from deployers.place_folder import Site
from deployers.protocol import Bounds, Deployed
from specs.failures import NeedsHuman, TryAgain
from tests.controller.releases import released

PLACE = "mean/staging"
KEY = Key("environment", PLACE)
SECRET = "correct-horse"
SERVE = """
import http.server, json, os, subprocess, sys
model, port, *rest = sys.argv[1:]
if rest[0] == "die":
    sys.exit("no luck with " + os.environ["TOKEN"])

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = {"model": open(model).read(), "name": os.path.basename(model), "rest": rest,
                "token": os.environ.get("TOKEN"), "mode": os.environ.get("MODE"),
                "told": os.environ.get("TOLD"), "old": os.environ.get("OLD"),
                "git": subprocess.run(["git", "rev-parse", "HEAD"], text=True,
                                      capture_output=True).stderr}
        content = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
    def log_message(self, *args):
        pass

http.server.HTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
"""
RELEASE = {
    "serve": {
        "run": f"{sys.executable} serve.py {{model}} {{port}} {{params.greeting}}",
        "env": {
            "MODE": "fast",
            "TOLD": "{root} {model} {host}:{port} {params.greeting}",
            # As a spec of an older controller may have it, which knew no placeholders here.
            "OLD": '{"a": {"b": 1}}',
        },
        "secrets": ["TOKEN"],
        "answer_within": "90s",
        "idle": "5s",
        "largest_request": "1Mi",
    }
}
DEPLOY = Deploy(pipeline="mean", environment="staging", stable=1, attempt="a1")


@asynccontextmanager
async def site(
    root: Path, secrets: Secrets | None = None, **params: Any
) -> AsyncIterator[tuple[Serving, LocalDeployer, EnvironmentObserver]]:
    """All that a deployment needs. What the deployer observes is not redacted by itself."""
    secrets = secrets or Secrets({"TOKEN": SECRET})
    deployer = LocalDeployer(root / "serving", redact=str)
    async with released(root, RELEASE, {"serve.py": SERVE}, params=params) as v1:
        serving = Serving(
            deployer, v1.versions, v1.artifacts, v1.repositories,
            Virtualenvs(root / "environments"), secrets, root / "models", {},
        )  # fmt: skip
        branches = {"team": Environments(v1.repositories.mirror("team"))}
        pasts = PastReader(v1.repositories, branches, v1.versions, v1.artifacts)
        observer = EnvironmentObserver(
            v1.versions, deployer, v1.repositories, branches, secrets.redact, pasts, {}, time.time
        )
        try:
            yield serving, deployer, observer
        finally:
            await deployer.remove(PLACE)
            await deployer.close()


def clone_around(folder: Path) -> None:
    """As where the controller's home is in somebody's clone."""
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for command in (("init", "-q"), (*who, "commit", "-q", "--allow-empty", "-m", "first")):
        subprocess.run(("git", *command), cwd=folder, check=True)


async def deploy(serving: Serving) -> None:
    """Apply as the outbox does: again while it is not ready."""
    async with asyncio.timeout(60):
        while True:
            try:
                assert await serving.deploy(KEY, DEPLOY) == ()
            except TryAgain:
                await asyncio.sleep(0.05)
            else:
                return


async def ready(serving: Serving, deployer: LocalDeployer) -> Deployed:
    """Apply until the router sends requests to a server that is ready."""
    async with asyncio.timeout(60):
        while True:
            await deploy(serving)
            seen = await deployer.observe(PLACE)
            if seen.stable and seen.servers[0].ready:
                return seen
            await asyncio.sleep(0.05)


async def test_a_version_is_served_from_its_model_with_its_parameters_and_secrets(
    tmp_path: Path,
) -> None:
    greeting = "two words; $HOME {port}"
    clone_around(tmp_path)
    async with site(tmp_path, greeting=greeting) as (serving, deployer, _):
        seen = await ready(serving, deployer)
        async with httpx.AsyncClient(base_url=seen.address or "", trust_env=False) as client:
            said = (await client.get("/predict")).json()
    assert "not a git repository" in said.pop("git"), "no clone that lies around it"
    told = said.pop("told").removesuffix(f" {greeting}").split()
    (code,) = (tmp_path / "models").glob("*/code")
    assert told[0] == str(code)
    assert told[1].endswith("model.json")
    assert told[2].startswith("127.0.0.1:")
    assert said == {
        "model": '{"mean": 2}',
        "name": "model.json",
        "rest": [greeting],
        "token": SECRET,
        "mode": "fast",
        "old": '{"a": {"b": 1}}',
    }


async def test_the_limits_of_the_spec_are_the_routers(tmp_path: Path) -> None:
    async with site(tmp_path, greeting="hi") as (serving, deployer, _):
        seen = await ready(serving, deployer)
        async with httpx.AsyncClient(base_url=seen.address or "", trust_env=False) as client:
            answer = await client.post("/predict", content=b"x" * (2**20 + 1))
        (file,) = (tmp_path / "serving").glob("places/*/router.json")
        routing = Routing.model_validate_json(file.read_bytes())
        (placed,) = Site.of(tmp_path / "serving" / "places", PLACE).placed().values()
    assert answer.status_code == 413
    assert "1,048,576 bytes at most" in answer.json()["error"]
    assert routing.stable is not None
    bounds = Bounds(answer_within=90.0, idle=5.0, largest_request=2**20)
    assert routing.stable.bounds == bounds
    assert placed.hung_after == 90.0, "it may be busy with one request for as long"


async def test_a_server_sees_the_files_that_it_reads_and_nothing_else_of_the_commit(
    tmp_path: Path,
) -> None:
    async with site(tmp_path, greeting="hi") as (serving, deployer, _):
        await ready(serving, deployer)
        (code,) = (tmp_path / "models").glob("*/code")
        seen = sorted(path.name for path in code.iterdir())
    assert seen == ["serve.py"], "README.md is in the commit, and not among what it reads"


async def test_a_deployment_that_is_applied_again_is_the_same_server(tmp_path: Path) -> None:
    async with site(tmp_path, greeting="hi") as (serving, deployer, _):
        first = await ready(serving, deployer)
        await deploy(serving)
        assert await deployer.observe(PLACE) == first


async def test_what_a_dying_server_says_reaches_the_machine_without_secrets(
    tmp_path: Path,
) -> None:
    async with site(tmp_path, greeting="die") as (serving, deployer, observer):
        await deploy(serving)
        release = ReleaseRequested(version=1, digest="", repository="team", why="it passed")
        told = InboxMessage(number=1, to=KEY, id="1", message=release, at=0.0)
        async with asyncio.timeout(60):
            while True:
                observed = await observer.observe(KEY, None, [told])
                if "no luck" in observed.deployed.servers[0].detail:
                    break
                await asyncio.sleep(0.05)
        assert SECRET in (await deployer.observe(PLACE)).servers[0].detail
    assert "no luck with ***" in observed.deployed.servers[0].detail
    assert SECRET not in observed.model_dump_json()


async def test_an_unknown_secret_needs_a_human(tmp_path: Path) -> None:
    async with site(tmp_path, Secrets({}), greeting="hi") as (serving, _, _):
        with pytest.raises(NeedsHuman, match="HEADGATE_SECRET_TOKEN"):
            await deploy(serving)


async def test_an_unknown_version_needs_a_human(tmp_path: Path) -> None:
    async with site(tmp_path, greeting="hi") as (serving, _, _):
        with pytest.raises(NeedsHuman, match="v7 of mean is not in the store"):
            await serving.deploy(KEY, DEPLOY.model_copy(update={"stable": 7}))
