"""`rclone serve s3`: a folder as S3, for listings of very many objects."""

import shutil
import sys
from pathlib import Path

from tests.servers.programs import Program

KEY = {"AWS_ACCESS_KEY_ID": "headgate", "AWS_SECRET_ACCESS_KEY": "headgate-secret",
       "AWS_REGION": "us-east-1"}  # fmt: skip


def program() -> str | None:
    """Its path: where `make test-s3` puts it, or on PATH."""
    return shutil.which("rclone", path=Path(sys.prefix) / "bin") or shutil.which("rclone")


class Rclone:
    """One server. The folders below `lake` are its buckets, and need three letters or more."""

    def __init__(self, home: Path, lake: Path) -> None:
        found = program()
        assert found is not None
        self._program = Program(home)
        self.url = self._program.url
        key = f"{KEY['AWS_ACCESS_KEY_ID']},{KEY['AWS_SECRET_ACCESS_KEY']}"
        self._program.start(
            [found, "serve", "s3", lake, "--addr", f"127.0.0.1:{self._program.port}",
             "--auth-key", key, "--config", home / "none", "--cache-dir", home,
             "--dir-cache-time", "1h", "--poll-interval", "0", "--no-checksum"]
        )  # fmt: skip

    def close(self) -> None:
        """End it."""
        self._program.close()
