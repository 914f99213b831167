"""Runs git commands in a controlled environment, and explains their failures."""

import asyncio
import base64
import os
import re
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from specs.failures import NeedsHuman, TryAgain
from specs.figures import duration

ERROR_KINDS = (
    "unreachable", "timeout", "refused", "declined", "raced", "not_a_repository",
    "missing_object", "damaged", "disk_full",
)  # fmt: skip
ERRORS = Counter(dict.fromkeys(ERROR_KINDS, 0))
"""The calls of git of this process that failed, by kind; for metrics."""
TIMEOUT = 300.0
"""Seconds after which a git command counts as hung."""

NO_GIT = "git is not installed, or not on PATH: install git 2.36 or newer"

_CREDENTIALS = re.compile(r"([a-z][a-z0-9+.-]*://)[^/@\s]+@", re.IGNORECASE)
# The caller's GIT_ variables that are passed on: those about connections and authentication.
_KEPT = ("GIT_ASKPASS", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_CONFIG_GLOBAL", "GIT_SSL_CAINFO")
OPTIONS = ("-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false",
            "-c", "gc.autoDetach=false", "-c", "core.quotePath=false",
            "-c", "protocol.ext.allow=never", "-c", "protocol.version=2",
            "-c", "advice.detachedHead=false")  # fmt: skip


class Rejected(TryAgain):
    """A push lost a race: the remote's ref moved since it was read. Read and push again."""


class Corrupt(Exception):  # noqa: N818 - describes the mirror
    """The mirror's files are damaged; it must be cloned again."""


class MissingObject(Exception):  # noqa: N818 - describes the object
    """The mirror does not have the requested object."""


def redact(text: str) -> str:
    """`text` without the user and password of URLs in it."""
    return _CREDENTIALS.sub(r"\1***@", text)


class Remote:
    """The address of a repository, with its credentials.

    A user and password in an http(s) URL never appear on a command line (where `ps` shows them) or
    in the mirror's config: they are passed as a header in the command's environment.
    """

    def __init__(self, url: str) -> None:
        if not url or url.startswith("-") or re.search(r"[\x00-\x1f]", url):
            raise NeedsHuman(f"{redact(url)!r} is not the address of a git repository")
        parts = urlsplit(url) if "://" in url else None
        self.shown = redact(url)
        self.config = {"remote.origin.url": url}
        if parts and parts.scheme in ("http", "https") and parts.username is not None:
            host = parts.netloc.rpartition("@")[2]
            plain = parts._replace(netloc=host).geturl()
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            token = base64.b64encode(pair.encode()).decode()
            self.config = {
                "remote.origin.url": plain,
                f"http.{parts.scheme}://{host}/.extraHeader": f"Authorization: Basic {token}",
            }
        self._local = Path(parts.path if parts else url)
        self._is_local = parts.scheme == "file" if parts else not re.match(r"[^/]+:", url)

    def is_absent(self) -> bool:
        """Whether this is a folder on this machine that does not exist."""
        return self._is_local and not self._local.exists()


def environment(remote: Remote, extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a git command: no prompts, and no system or user configuration.

    Credentials come from the URL, `~/.netrc`, ssh's own files and agent, or GIT_ASKPASS. For a
    credential helper, set GIT_CONFIG_GLOBAL to a config file.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name in _KEPT
    }
    counted = {"GIT_CONFIG_COUNT": str(len(remote.config))}
    for number, (name, value) in enumerate(remote.config.items()):
        counted[f"GIT_CONFIG_KEY_{number}"] = name
        counted[f"GIT_CONFIG_VALUE_{number}"] = value
    defaults = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_SSH_COMMAND": "ssh -oBatchMode=yes"}
    fixed = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
        "LC_ALL": "C",
    }
    return defaults | kept | fixed | counted | dict(extra)


async def git(
    remote: Remote,
    arguments: Sequence[str],
    *,
    folder: Path | None = None,
    stdin: bytes = b"",
    extra: Mapping[str, str] | None = None,
    accept: tuple[int, ...] = (0,),
    cwd: Path = Path("/"),
    limit: float = TIMEOUT,
) -> tuple[int, bytes]:
    """Run `git ARGUMENTS` on the repository in `folder`; its exit code and standard output.

    Raises the result of `failure` for an exit code not in `accept`, and `TryAgain` if git takes
    more than `limit` seconds. Cancelling kills git and its helpers.
    """
    where = ("--git-dir", str(folder)) if folder else ()
    try:
        process = await asyncio.create_subprocess_exec(
            "git",
            *OPTIONS,
            *where,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(remote, extra or {}),
            cwd=cwd,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise NeedsHuman(NO_GIT) from None
    try:
        async with asyncio.timeout(limit):
            out, err = await process.communicate(stdin)
    except TimeoutError:
        ERRORS["timeout"] += 1
        raise TryAgain(
            f"git {arguments[0]} on {remote.shown} did not finish within {duration(limit)}"
        ) from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.communicate()  # `wait` alone never ends while a pipe is full
    code = process.returncode or 0
    if code not in accept:
        text = (err + b"\n" + out) if arguments[0] == "push" else err
        raise failure(remote, text.decode("utf-8", "replace"))
    return code, out


# Patterns in git's output. `failure` decides in which order they count.
_CORRUPT = re.compile(
    r"(?:loose|packed) object .* is corrupt|object file .* is empty|unable to read tree"
    r"|inflate: data stream|packfile .* (?:cannot be|is|does not match index)\b|garbage at end"
    r"|not a git repository: '/|bad object refs/|pack has bad object"
    r"|did not send all necessary objects|unable to unpack|missing blob",
    re.IGNORECASE,
)
_MISSING = re.compile(
    r"not a valid (?:object|commit) name|bad object|not a tree object|no such commit"
    r"|invalid object name|bad revision|not a valid object",
    re.IGNORECASE,
)
_RACE = re.compile(
    r"\[rejected\]|stale info|fetch first|non-fast-forward"
    r"|\[remote rejected\].*(?:cannot lock ref|failed to update ref|incorrect old value"
    r"|reference already exists)",
    re.IGNORECASE,
)
_REFUSED = re.compile(
    r"authentication failed|could not read (?:username|password)|permission denied"
    r"|host key verification failed|access denied|returned error: 40[13]|not authorized"
    r"|authentication required|credentials for .* not found",
    re.IGNORECASE,
)
_DECLINED = re.compile(r"\[remote rejected\]|hook declined|protected branch", re.IGNORECASE)
_NO_REPOSITORY = re.compile(
    r"not appear to be a git repository|repository .* not found|not a git repository"
    r"|dubious ownership|transport '.*' not allowed|returned error: 404|not found: did you run"
    r"|unable to find remote helper",
    re.IGNORECASE,
)
_TELLING = re.compile(r"fatal:|error:|!|remote: |ssh:|error transferring|batch re(?:quest|sponse):")
_FULL = re.compile(r"no space left|disk quota exceeded", re.IGNORECASE)


def is_damage(said: str) -> bool:
    """Whether git's output tells of damaged files of the mirror."""
    return _CORRUPT.search(said) is not None


def failure(remote: Remote, said: str) -> Exception:
    """The error that git's output means: something to wait for, or something to fix."""
    kind, error = _failure(remote, said)
    ERRORS[kind] += 1
    return error


def _failure(remote: Remote, said: str) -> tuple[str, Exception]:
    last = _telling_line(redact(said))
    where = remote.shown
    if remote.is_absent():
        fix = f"{where} is missing; put it back, or correct the address"
        return "unreachable", TryAgain(fix)
    if _FULL.search(said):
        fix = f"no space left for the mirror of {where}: free some space, then `retry`"
        return "disk_full", NeedsHuman(fix)
    if _RACE.search(said):
        return "raced", Rejected(f"{where} was pushed to at the same time: {last}")
    if _REFUSED.search(said):
        fix = f"{where} refused access ({last}): renew the token or key that Headgate uses there"
        return "refused", NeedsHuman(fix)
    if _DECLINED.search(said):
        fix = f"{where} declined a push ({last}): allow Headgate to push that ref"
        return "declined", NeedsHuman(fix)
    if is_damage(said):
        return "damaged", Corrupt(last)
    if _NO_REPOSITORY.search(said):
        fix = f"{where} is not a git repository, or not readable ({last}): correct the address"
        return "not_a_repository", NeedsHuman(fix)
    if _MISSING.search(said):
        return "missing_object", MissingObject(last)
    return "unreachable", TryAgain(f"{where} is unreachable: {last}")


def _telling_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if _TELLING.match(line)]
    return (telling or lines or ["git said nothing"])[0].removeprefix("fatal: ")[:300]
