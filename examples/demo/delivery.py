"""Where the story's data arrives: a directory, or a bucket on an S3 server of the demo."""

import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import httpx

from deployers.place_folder import HOST, free_port

if TYPE_CHECKING:
    from obstore.store import S3Store

LAKE, KEPT = "lake", "headgate"
"""The bucket for data, and the bucket for artifacts."""
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo-only"}
PATIENCE = 60.0
"""Seconds that the S3 server may take to answer."""


class Delivery(Protocol):
    """The delivery of data, and what the controller has to know about it."""

    @property
    def uri(self) -> str:
        """The folder for the months, without a final slash."""
        ...

    @property
    def settings(self) -> str:
        """Lines of headgate.yaml."""
        ...

    @property
    def environ(self) -> Mapping[str, str]:
        """Environment variables for the controller."""
        ...

    def begin(self) -> None:
        """Create the bucket."""
        ...

    def deliver(self, month: Path) -> None:
        """Deliver a month atomically."""
        ...

    def withdraw(self, month: Path) -> None:
        """Remove a month."""
        ...

    def end(self) -> None:
        """End what was started."""
        ...


class Directory:
    """A `Delivery` to a folder on this machine."""

    environ: Mapping[str, str] = {}

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def uri(self) -> str:
        return f"file://{self._folder}"

    @property
    def settings(self) -> str:
        return f"data_roots: [{self._folder}]\n"

    def begin(self) -> None:
        self._folder.mkdir(parents=True)

    def deliver(self, month: Path) -> None:
        scratch = self._folder / f".{month.name}.part"
        shutil.copyfile(month, scratch)
        scratch.replace(self._folder / month.name)

    def withdraw(self, month: Path) -> None:
        (self._folder / month.name).unlink()

    def end(self) -> None:
        """Nothing was started."""


class S3:
    """A `Delivery` to moto's S3 server, which also keeps the artifacts. It answers at `host`."""

    uri = f"s3://{LAKE}/flights"
    environ = CREDENTIALS

    def __init__(self, log: Path, host: str = HOST) -> None:
        self._log = log
        self._host = host
        self._port = free_port()
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> str:
        stores = "".join(
            f"  - {{uri: s3://{bucket}, endpoint: '{self._endpoint}', region: us-east-1}}\n"
            for bucket in (LAKE, KEPT)
        )
        return f"stores:\n{stores}artifacts: s3://{KEPT}/artifacts\n"

    @property
    def _endpoint(self) -> str:
        return f"http://{self._host}:{self._port}"

    def begin(self) -> None:
        with self._log.open("ab") as log:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", self._host, "-p", str(self._port)],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        for bucket in (LAKE, KEPT):
            while not self._made(bucket):
                if self._server.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the S3 server does not answer; see {self._log}")
                time.sleep(0.1)

    def _made(self, bucket: str) -> bool:
        try:
            return httpx.put(f"{self._endpoint}/{bucket}", timeout=5).is_success
        except httpx.TransportError:
            return False

    def deliver(self, month: Path) -> None:
        import obstore

        obstore.put(self._lake(), f"flights/{month.name}", month)

    def withdraw(self, month: Path) -> None:
        import obstore

        obstore.delete(self._lake(), f"flights/{month.name}")

    def _lake(self) -> "S3Store":
        from obstore.store import S3Store

        return S3Store(
            LAKE,
            endpoint=self._endpoint,
            region="us-east-1",
            access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            client_options={"allow_http": True},
        )

    def end(self) -> None:
        if self._server is not None:
            self._server.terminate()
            self._server.wait()
