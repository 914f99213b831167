"""Reads the remote and the name of a repository from git."""

import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from controller.cli.failures import Failed
from controller.git.command import redact

REMOTE = "origin"


def remote_of(folder: Path) -> str | None:
    """The URL of the remote `origin`, or None if the folder is not in a clone. A path is made
    absolute, since git has it relative to the top of the clone."""
    top = _git(folder, "rev-parse", "--show-toplevel")
    url = _git(folder, "remote", "get-url", REMOTE) if top else None
    if not top or not url:
        return None
    is_path = url.startswith((".", "/")) or (Path(top) / url).exists()
    return str((Path(top) / url).resolve()) if is_path else url


def name_of(folder: Path) -> str:
    """The name of the folder, or of its repository if it is the top of a clone."""
    top, url = _git(folder, "rev-parse", "--show-toplevel"), remote_of(folder)
    if top and url and Path(top).resolve() == folder.resolve():
        name = re.split(r"[/:]", url.rstrip("/"))[-1].removesuffix(".git")
        return name or folder.resolve().name
    return folder.resolve().name


def required_remote_of(folder: Path) -> str:
    """The URL of `origin`. Raises `Failed` if there is none, or if it contains credentials."""
    url = remote_of(folder)
    if url is None:
        raise Failed(
            f"{folder.resolve().name} has no git remote called {REMOTE}; give the repository with "
            "--repository URL"
        )
    if _holds_credentials(url):
        raise Failed(
            f"the URL of the remote {REMOTE} contains a user or password ({redact(url)}), which "
            "would be written to the settings; give a URL without one with --repository URL"
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
