"""`headgate logs`."""

import asyncio
import os
import sys
from pathlib import Path
from typing import NamedTuple

import click

from controller.cli.context import (
    CliContext,
    json_option,
    missing,
    not_found,
    print_json,
    with_state,
)
from controller.cli.environment_argument import find_environment
from controller.cli.failures import Failed
from controller.config.secrets import Secrets
from controller.config.settings_file import load_secrets
from controller.executors.virtualenvs import LOGS
from controller.machine.core import Key, Value, parsed
from controller.machine.environments.environment import EnvironmentState, server_name
from controller.machine.pipelines.version import Ref
from controller.machine.runs.run import Run
from controller.store.model_versions import Versions
from controller.store.protocol import StoreReader
from deployers.windows import SERVING, make_window

ENVIRONMENT = "environment"
"""Given instead of a step: the log of building the run's environments."""
_LOOK = 0.3


class LogFile(NamedTuple):
    """A log folder, with its title."""

    title: str
    folder: Path
    ended: bool = False
    """Whether it is the log of a server that has ended."""


class LogView(Value):
    """A log, for programs."""

    name: str
    """The name of the attempt or the server."""
    ended: bool = False
    """Whether it is the log of a server that has ended, from the last time that it ran."""
    text: str | None
    """None if it has not started, or if its log was deleted by retention."""


@click.command(short_help="Print the log of a step or a model server.")
@click.argument("what", metavar="RUN|PIPELINE/ENVIRONMENT")
@click.argument("step", required=False)
@click.option(
    "--version", type=click.IntRange(1), metavar="NUMBER", help="Only the servers of this version."
)
@click.option("-f", "--follow", is_flag=True, help="Keep printing new lines until Ctrl-C.")
@json_option
@click.pass_context
def logs(
    ctx: click.Context,
    what: str,
    step: str | None,
    version: int | None,
    follow: bool,
    as_json: bool,
) -> None:
    """Print the logs of the steps of a run, or of the model servers of an environment.

    For a run: the last attempt of each step, or of STEP only; the STEP `environment` is the log of
    building its environment. For an environment: the running servers, and that of the version that
    was removed last. The log of a server is kept after it ends. Only the beginning and the end of
    a long log are kept.

    \b
    Example:
      headgate logs flight-delay-12 train
      headgate logs flight-delay/production --follow
      headgate logs flight-delay/production --version 6
    """

    if follow and as_json:
        raise click.UsageError("--follow and --json cannot be combined.")
    if version is not None and "/" not in what:
        raise click.UsageError("--version applies only to PIPELINE/ENVIRONMENT.")

    async def run(store: StoreReader, here: CliContext) -> None:
        if "/" in what:
            found = await _of_environment(store, here.home, what, version)
        else:
            found = await _of_run(store, here.home, what, step)
        secrets = load_secrets(here.settings, here.base, os.environ)
        readers = [Reader(log, secrets) for log in found]
        if as_json:
            print_json([_view(log, reader) for log, reader in zip(found, readers, strict=True)])
            return
        for log, reader in zip(found, readers, strict=True):
            _print(log, reader, titled=len(found) > 1, last=not follow)
        while follow:
            await asyncio.sleep(_LOOK)
            for reader in readers:
                click.echo(reader.more(), nl=False)

    try:
        with_state(ctx, run)
    except KeyboardInterrupt:
        sys.exit(0)


async def _of_run(store: StoreReader, home: Path, what: str, step: str | None) -> list[LogFile]:
    record = await store.get(Key("run", what))
    if record is None:
        raise await missing(store, "run", what, ("run",))
    run = parsed(Run, record.body)
    built = [LogFile(one.what, home / "environments" / LOGS / one.name) for one in run.built]
    if step == ENVIRONMENT and step not in run.nodes:
        if not built:
            raise Failed(f"{run.id} built no environment: those it needs existed already.")
        return built
    if step is not None and step not in run.nodes:
        raise not_found(f"step of {run.id}", step, [*run.nodes, ENVIRONMENT])
    tried = {name: node.attempts[-1] for name, node in run.nodes.items() if node.attempts}
    if step is not None and step not in tried:
        node = run.nodes[step]
        why = f"cached from {node.cached_from}" if node.cached_from else f"it is {node.phase}"
        meant = f"; see `headgate logs {node.cached_from} {step}`" if node.cached_from else ""
        raise Failed(f"{step} did not run in {run.id}: {why}{meant}.")
    chosen = {step: tried[step]} if step else tried
    if not chosen and not built:
        raise Failed(f"{run.id} has not started a step; `headgate explain {run.id}` says why.")
    ordered = sorted(chosen.values(), key=lambda one: one.asked)
    before = built if step is None else []
    return [*before, *(LogFile(one.id, home / "attempts" / one.id) for one in ordered)]


async def _of_environment(
    store: StoreReader, home: Path, what: str, version: int | None
) -> list[LogFile]:
    env = await find_environment(store, what)
    window = make_window(home / SERVING)
    job = env.job
    if job is not None and version in (None, job.version.version):
        return [LogFile(job.id, home / "attempts" / job.id)]
    refs = _versions_with_logs(env)
    if version is not None:
        known = await Versions(store).get(env.pipeline, version)
        refs = [known.ref] if known else []
    found = []
    for ref in refs:
        name = server_name(env.place, ref)
        found += [LogFile(name, log.folder, log.ended) for log in window.logs(env.place, name)]
    if found:
        return found
    if version is not None:
        raise Failed(
            f"no server of v{version} has run in {env.place}, or its log was deleted; "
            f"`headgate releases {env.pipeline}` shows what was released."
        )
    raise Failed(f"no server is running in {env.place}.")


def _versions_with_logs(env: EnvironmentState) -> list[Ref]:
    """The versions last removed by Headgate and by a person, then those that are running."""
    bad = [env.stopped.version] if env.stopped else []
    bad += [Ref(version=one.version, digest=one.digest) for one in env.quarantine[-1:]]
    refs = (env.stable, env.rollout.version if env.rollout else None)
    runs = [ref for ref in refs if ref]
    return [*(ref for n, ref in enumerate(bad) if ref not in (*runs, *bad[:n])), *runs]


class Reader:
    """Reads a log as it grows: its head, then the two files that alternate as its end."""

    def __init__(self, log: LogFile, secrets: Secrets) -> None:
        self._log = log
        self._secrets = secrets
        self._read: dict[int, int] = {}
        """Bytes read so far, by inode, since the files are renamed when they are rotated."""
        self._past_head = False
        self._rest = b""

    def more(self, *, last: bool = False) -> str:
        """The complete new lines; with `last`, an incomplete line at the end, too."""
        data = self._rest
        if not self._past_head:
            data += self._new("log")
        for piece in ("log.old", "log.tail"):
            new = self._new(piece)
            # Once the head is full, it grows again only when the log ends, by a copy of the tail.
            self._past_head = self._past_head or bool(new)
            data += new
        end = len(data) if last else data.rfind(b"\n") + 1
        self._rest = data[end:]
        text = self._secrets.redact(data[:end].decode("utf-8", "replace"))
        # A step may print anything, but no control characters reach the terminal.
        return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)

    def _new(self, piece: str) -> bytes:
        try:
            with (self._log.folder / piece).open("rb") as file:
                inode = os.fstat(file.fileno()).st_ino
                file.seek(self._read.get(inode, 0))
                data = file.read()
        except FileNotFoundError:
            return b""
        self._read[inode] = self._read.get(inode, 0) + len(data)
        return data


def _view(log: LogFile, reader: Reader) -> LogView:
    text = reader.more(last=True) if log.folder.is_dir() else None
    return LogView(name=log.title, ended=log.ended, text=text)


def _print(log: LogFile, reader: Reader, *, titled: bool, last: bool) -> None:
    if titled:
        click.secho(f"== {log.title}{' (ended)' if log.ended else ''}", bold=True, err=True)
    if not log.folder.is_dir():
        click.secho(f"{log.title} has not started, or its log was deleted.", err=True)
        return
    click.echo(reader.more(last=last), nl=False)
