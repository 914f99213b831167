"""PURE. Paths in a repository, and addresses."""

import posixpath
from urllib.parse import urlsplit


def joined(folder: str, path: str) -> str | None:
    """The repository path of `path` relative to `folder` (empty for the root); None if outside."""
    if path.startswith("/") or "\\" in path or ":" in path:
        return None
    found = posixpath.normpath(posixpath.join(folder, path))
    if found == ".." or found.startswith("../"):
        return None
    return "" if found == "." else found


def below(folder: str, name: str) -> str:
    """The path of a file in a folder of the repository."""
    return f"{folder}/{name}" if folder else name


def has_credentials(address: str) -> bool:
    """Whether an address has a password or a token; `${NAME}` does not count as one."""
    try:
        parts = urlsplit(address.removeprefix("git+"))
    except ValueError:
        return False
    if parts.password is not None:
        return not parts.password.startswith("${")
    # A token alone takes the place of the user; `git@` is not a secret.
    return parts.scheme in ("http", "https") and bool(parts.username) and parts.username != "git"


def bare(address: str) -> str:
    """The address without its credentials, for messages."""
    scheme, found, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{found}{host.rpartition('@')[2]}{slash}{path}"
