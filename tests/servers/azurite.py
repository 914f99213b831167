"""Azurite, Microsoft's own double of Azure's blob storage (npm), which checks what it is sent."""

import base64
import hashlib
import hmac
import shutil
import sys
import uuid
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

import httpx

from tests.servers.programs import Program

ACCOUNT = "devstoreaccount1"
SECRET = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The account and the key that every Azurite has; its documentation tells them."""
KEY = {"AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": SECRET}


def program() -> str | None:
    """Its path: on PATH, or where `make test-s3` puts it."""
    ours = Path(sys.prefix) / "azurite" / "node_modules" / ".bin"
    return shutil.which("azurite-blob", path=ours) or shutil.which("azurite-blob")


class Azurite:
    """One server; all is gone at its end."""

    def __init__(self, home: Path) -> None:
        found = program()
        assert found is not None
        self._program = Program(home)
        self._program.start(
            [found, "--blobHost", "127.0.0.1", "--blobPort", str(self._program.port),
             "--location", home, "--silent", "--disableTelemetry", "--skipApiVersionCheck"]
        )  # fmt: skip
        self._client = httpx.Client()

    @property
    def url(self) -> str:
        """Where it answers: an `endpoint`."""
        return f"{self._program.url}/{ACCOUNT}"

    def container(self) -> str:
        """The name of a new container."""
        name = f"lake-{uuid.uuid4().hex[:12]}"
        self._send("PUT", name, query={"restype": "container"})
        return name

    def put(self, container: str, key: str, body: bytes) -> None:
        """Write a blob."""
        self._send("PUT", f"{container}/{key}", body=body)

    def delete(self, container: str, key: str) -> None:
        """Delete a blob."""
        self._send("DELETE", f"{container}/{key}")

    def close(self) -> None:
        """End it."""
        self._client.close()
        self._program.close()

    def _send(
        self, method: str, path: str, body: bytes = b"", query: dict[str, str] | None = None
    ) -> None:
        """A request signed with the account's key.

        Source: Microsoft Learn, "Authorize with Shared Key", of the Blob service.
        """
        query = query or {}
        given = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
        if not query and method == "PUT":
            given["x-ms-blob-type"] = "BlockBlob"
        path = f"/{ACCOUNT}/{quote(path)}"
        length = str(len(body)) if body else ""
        lines = [method, "", "", length, *[""] * 8]
        lines += [f"{name}:{given[name]}" for name in sorted(given)]
        lines.append(f"/{ACCOUNT}{path}")
        lines += [f"{name}:{value}" for name, value in sorted(query.items())]
        key = hmac.digest(base64.b64decode(SECRET), "\n".join(lines).encode(), hashlib.sha256)
        given["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(key).decode()}"
        answer = self._client.request(
            method, self._program.url + path, params=query, headers=given, content=body
        )
        assert answer.is_success, answer.text
