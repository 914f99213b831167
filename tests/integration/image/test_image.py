"""The image: built as a user builds it, on a Debian of this machine's making, and run confined."""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import pytest

pytestmark = [pytest.mark.image, pytest.mark.timeout(1800)]

ROOT: Final = Path(__file__).parents[3]
TAG: Final = "headgate-tests/image"
CERTIFICATES: Final = "/etc/ssl/certs/ca-certificates.crt"
CONFINED: Final = (
    "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
)  # fmt: skip
MOST_BYTES: Final = 1_000_000_000
"""Size of the image at most; 124 MB of that are Debian and Python, 117 MB git, git-lfs and ssh, and
138 MB Polars."""
LIBRARIES: Final = """
import asyncio, io, obstore.store, scipy.linalg, scipy.stats, sklearn.metrics, uvloop
import numpy as np, polars as pl, pyarrow as pa
import pyarrow.compute, pyarrow.csv, pyarrow.dataset, pyarrow.fs, pyarrow.json, pyarrow.parquet
import great_expectations, lightkube, psycopg, httptools, sqlalchemy, alembic, watchdog.observers
from boto3 import Session
from cryptography.hazmat.primitives.asymmetric import ec
table = pa.table({"day": [1, 2, 2], "carrier": ["UA", "AA", "UA"]})
pa.parquet.write_table(table, written := io.BytesIO())
assert pa.parquet.read_table(written).to_pandas().groupby("carrier").day.sum()["UA"] == 3
assert len(set(pl.from_arrow(table).hash_rows(seed=0))) == 3
assert sklearn.metrics.roc_auc_score([0, 1, 1], [0.1, 0.4, 0.3]) == 1
assert scipy.linalg.lu(np.eye(4))[0].shape == (4, 4) and scipy.stats.norm.cdf(0) == 0.5
assert list(obstore.list(obstore.store.MemoryStore())) == []
assert ec.generate_private_key(ec.SECP256R1()).key_size == 256
for service in ("s3", "sqs", "sso", "sso-oidc", "sts"):
    Session("key", "secret", region_name="us-east-1").client(service)
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
    loop.run(asyncio.sleep(0))
"""
"""Works the libraries of which the image leaves something out."""
READY_SECONDS: Final = 120.0
SETTINGS: Final = """\
repositories: [{name: flights, url: /var/lib/headgate/flights.git}]
"""
REPOSITORY: Final = """\
set -e
cd /var/lib/headgate
git init -q --bare -b main flights.git
git clone -q flights.git work 2>/dev/null
cd work
git checkout -q -b main
echo flights > README
git add README
git -c user.name=a -c user.email=a@example.com commit -qm "Begin"
git push -q origin main
"""

Docker = Callable[..., str]


@pytest.fixture(scope="session")
def docker(docker_host: str) -> Docker:
    """Calls Docker's own program, Debian's if it is there: others may lack BuildKit."""
    program = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else shutil.which("docker")
    if program is None:
        pytest.skip("no program `docker` (apt install docker.io)")
    environ = {**os.environ, "DOCKER_HOST": docker_host, "DOCKER_BUILDKIT": "1"}

    def call(*words: str, stdin: Path | None = None) -> str:
        with (stdin or Path(os.devnull)).open("rb") as given:
            done = subprocess.run(
                [program, *words], env=environ, stdin=given, capture_output=True, text=True
            )
        assert done.returncode == 0, done.stderr[-3000:]
        return (done.stdout + (done.stderr if words[0] == "logs" else "")).strip()

    return call


@pytest.fixture(scope="session")
def image(docker: Docker) -> str:
    """The image, built on the base that `base.sh` made."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    kept = cache / "headgate-tests" / "debian-python-1.tar"
    if not kept.exists():
        pytest.skip("no base for the image: `make test-image` makes it, as root with debootstrap")
    known = f"SSL_CERT_FILE={CERTIFICATES} PIP_CERT={CERTIFICATES}"
    search = "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    docker("import", "-c", f"ENV {search} {known}", "-", "headgate-tests/debian", stdin=kept)
    docker(
        "build", "--network", "host", "--build-arg", "BASE=headgate-tests/debian",
        "--build-arg", "REVISION=tested", "-f", str(ROOT / "deploy" / "Dockerfile"), "-t", TAG,
        str(ROOT),
    )  # fmt: skip
    return TAG


@pytest.fixture
def volume(docker: Docker) -> Iterator[str]:
    name = docker("volume", "create")
    yield name
    docker("volume", "rm", "-f", name)


def test_it_says_what_it_is(docker: Docker, image: str) -> None:
    about = json.loads(docker("image", "inspect", image))[0]
    labels = about["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "Headgate"
    assert labels["org.opencontainers.image.revision"] == "tested"
    assert about["Config"]["User"] == "65532:65532"
    assert about["Config"]["Entrypoint"] == ["headgate"]
    print(f"{about['Size'] / 1e6:,.0f} MB")
    assert about["Size"] < MOST_BYTES


def test_it_runs_confined(docker: Docker, image: str) -> None:
    run = ("run", "--rm", "--network", "none", *CONFINED)
    assert docker(*run, image, "--version").startswith("headgate, version ")
    said = docker(
        *run, "--entrypoint", "sh", image, "-c", "id -u; git --version; command -v ssh uv"
    )
    assert said.splitlines()[0] == "65532"
    assert "git version" in said


def test_it_has_what_the_extras_need_and_nothing_of_the_build(docker: Docker, image: str) -> None:
    names = ("lightkube", "psycopg", "boto3", "opentelemetry.sdk", "pip", "hatchling", "tests")
    asked = f"import importlib.util as u; print([n for n in {names} if u.find_spec(n)])"
    run = ("run", "--rm", "--network", "none", *CONFINED, "--entrypoint", "python3")
    assert docker(*run, image, "-c", asked) == str(list(names[:4]))


def test_its_libraries_work_without_what_was_left_out(docker: Docker, image: str) -> None:
    run = ("run", "--rm", "--network", "none", *CONFINED, "--entrypoint", "python3")
    docker(*run, image, "-W", "ignore", "-c", LIBRARIES)


def test_a_controller_becomes_ready_and_ends_when_asked(
    docker: Docker, image: str, volume: str, tmp_path: Path
) -> None:
    written = tmp_path / "headgate.yaml"
    written.write_text(SETTINGS)
    shared = (*CONFINED, "--volume", f"{volume}:/var/lib/headgate")
    docker(
        "run", "--rm", "--network", "none", *shared, "--entrypoint", "sh", image, "-c", REPOSITORY
    )
    port = _free_port()
    name = docker(
        "run", "-d", "--network", "host", *shared, "--env", f"HEADGATE_HTTP_PORT={port}",
        "--env", "HEADGATE_HTTP_HOST=127.0.0.1",
        "--volume", f"{written}:/etc/headgate/headgate.yaml:ro", "--health-interval", "1s", image,
    )  # fmt: skip
    try:
        _await(docker, name, lambda: _answers(port, "/readyz"))
        _await(docker, name, lambda: _state(docker, name)["Health"]["Status"] == "healthy")
        findings = json.loads(docker("exec", name, "sh", "-c", "headgate doctor --json || true"))
        errors = [one for one in findings if one["state"] == "error"]
        assert errors == []
        docker("stop", "--time", "30", name)
        assert _state(docker, name)["ExitCode"] == 0
    finally:
        docker("rm", "-f", name)


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _state(docker: Docker, name: str) -> Any:
    return json.loads(docker("inspect", "--format", "{{json .State}}", name))


def _await(docker: Docker, name: str, test: Callable[[], bool]) -> None:
    until = time.monotonic() + READY_SECONDS
    while not test():
        assert _state(docker, name)["Running"], docker("logs", name)
        assert time.monotonic() < until, docker("logs", name)
        time.sleep(0.2)
