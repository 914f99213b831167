"""What git knows of the folder that a person is in."""

import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from controller.cli.failures import Failed
from controller.git.command import redact

REMOTE = "origin"


def remote_of(folder: Path) -> str | None:
    """The address of the remote `origin`; None where the
    folder is in no clone. A path is absolute: git's own is relative to the top of the clone."""
    top = _git(folder, "rev-parse", "--show-toplevel")
    url = _git(folder, "remote", "get-url", REMOTE) if top else None
    if not top or not url:
        return None
    is_path = url.startswith((".", "/")) or (Path(top) / url).exists()
    return str((Path(top) / url).resolve()) if is_path else url


def name_of(folder: Path) -> str:
    """What the folder is called: as its repository, where it is the top of a clone."""
    top, url = _git(folder, "rev-parse", "--show-toplevel"), remote_of(folder)
    if top and url and Path(top).resolve() == folder.resolve():
        name = re.split(r"[/:]", url.rstrip("/"))[-1].removesuffix(".git")
        return name or folder.resolve().name
    return folder.resolve().name


def the_remote_of(folder: Path) -> str:
    """The same; raises `Failed` where there is none, or where it holds a password."""
    url = remote_of(folder)
    if url is None:
        raise Failed(
            f"{folder.resolve().name} has no git remote called {REMOTE}; name the repository: "
            "--repository URL"
        )
    if _holds_credentials(url):
        raise Failed(
            f"the remote {REMOTE} has a user or password in its address ({redact(url)}), which "
            "would be written into the settings; name an address without: --repository URL"
        )
    return url


def _holds_credentials(url: str) -> bool:
    parts = urlsplit(url) if "://" in url else None
    if parts is None or parts.username is None:
        return False
    return parts.password is not None or parts.scheme in ("http", "https")  # may be a token


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ("git", *arguments), cwd=folder, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
