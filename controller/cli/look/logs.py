"""`headgate logs`."""

import asyncio
import os
import sys
from pathlib import Path
from typing import NamedTuple

import click

from controller.cli.failures import Failed
from controller.cli.places import environment
from controller.cli.reach import Reach, json_option, no_such, print_json, with_state
from controller.config.secrets import Secrets
from controller.config.settings_file import load_secrets
from controller.executors.virtualenvs import LOGS
from controller.machine.core import Key, Value, parsed
from controller.machine.environments.environment import EnvironmentState, server_name
from controller.machine.pipelines.version import Ref
from controller.machine.runs.run import Run
from controller.store.protocol import StoreReader
from controller.store.versions import Versions
from deployers.registry import SERVING, make_window

ENVIRONMENT = "environment"
"""In the place of a step: what was said while the run's environments were built."""
_LOOK = 0.3


class LogFile(NamedTuple):
    """A log and what it is of."""

    title: str
    folder: Path
    ended: bool = False
    """Whether it is of a server that ended."""


class LogView(Value):
    """A log, for programs."""

    name: str
    """The attempt's or the server's."""
    ended: bool = False
    """Whether it is of a server that ended: what it wrote before it ended the last time."""
    text: str | None
    """None: it has not begun, or its log was swept."""


@click.command(short_help="Print what a step or a server wrote.")
@click.argument("what", metavar="RUN|PIPELINE/ENVIRONMENT")
@click.argument("step", required=False)
@click.option(
    "--version", type=click.IntRange(1), metavar="NUMBER", help="The servers of one version only."
)
@click.option("-f", "--follow", is_flag=True, help="Go on printing what is written, until Ctrl-C.")
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
    """Print what the steps of a run, or the model servers of an environment, wrote.

    Of a run, the last attempt of each step, or of STEP only; `environment` is what was said while
    its environment was built. Of an environment, the servers that
    run and that of the version that was taken out last; a server's log is kept when it ends. Long
    logs are kept by their head and their end.

    \b
    Example:
      headgate logs flight-delay-12 train
      headgate logs flight-delay/production --follow
      headgate logs flight-delay/production --version 6
    """

    if follow and as_json:
        raise click.UsageError("--follow prints text as it comes; leave out --json.")
    if version is not None and "/" not in what:
        raise click.UsageError("--version is for the servers of PIPELINE/ENVIRONMENT.")

    async def run(store: StoreReader, here: Reach) -> None:
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
        names = [each.key.name for each in await store.list("run")]
        raise no_such("run", what, names)
    run = parsed(Run, record.body)
    built = [LogFile(one.what, home / "environments" / LOGS / one.name) for one in run.built]
    if step == ENVIRONMENT and step not in run.nodes:
        if not built:
            raise Failed(f"{run.id} built no environment: those that it needs were there.")
        return built
    if step is not None and step not in run.nodes:
        raise no_such(f"step of {run.id}", step, [*run.nodes, ENVIRONMENT])
    tried = {name: node.attempts[-1] for name, node in run.nodes.items() if node.attempts}
    if step is not None and step not in tried:
        node = run.nodes[step]
        why = f"it is as in {node.cached_from}" if node.cached_from else f"it is {node.phase}"
        meant = f"; `headgate logs {node.cached_from} {step}` has it" if node.cached_from else ""
        raise Failed(f"{step} was not run in {run.id}: {why}{meant}.")
    chosen = {step: tried[step]} if step else tried
    if not chosen and not built:
        raise Failed(f"{run.id} has started no step; `headgate explain {run.id}` says why.")
    ordered = sorted(chosen.values(), key=lambda one: one.asked)
    before = built if step is None else []
    return [*before, *(LogFile(one.id, home / "attempts" / one.id) for one in ordered)]


async def _of_environment(
    store: StoreReader, home: Path, what: str, version: int | None
) -> list[LogFile]:
    env = await environment(store, what)
    window = make_window(home / SERVING)
    job = env.job
    if job is not None and version in (None, job.version.version):
        return [LogFile(job.id, home / "attempts" / job.id)]
    refs = _worth_reading(env)
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
            f"no server of v{version} has run in {env.place}, or its log was swept; "
            f"`headgate releases {env.pipeline}` shows what was released."
        )
    raise Failed(f"no server runs in {env.place}.")


def _worth_reading(env: EnvironmentState) -> list[Ref]:
    """The versions that run, after those that were taken out last: by Headgate, by a person."""
    bad = [env.stopped.version] if env.stopped else []
    bad += [Ref(version=one.version, digest=one.digest) for one in env.quarantine[-1:]]
    refs = (env.stable, env.rollout.version if env.rollout else None)
    runs = [ref for ref in refs if ref]
    return [*(ref for n, ref in enumerate(bad) if ref not in (*runs, *bad[:n])), *runs]


class Reader:
    """Reads a log as it grows: its head, then the two pieces that take turns as its end."""

    def __init__(self, log: LogFile, secrets: Secrets) -> None:
        self._log = log
        self._secrets = secrets
        self._read: dict[int, int] = {}
        """Bytes that were read, by inode: a piece is renamed when the other takes its turn."""
        self._past_head = False
        self._rest = b""

    def more(self, *, last: bool = False) -> str:
        """The whole lines that are new; with `last` also what is no whole line yet."""
        data = self._rest
        if not self._past_head:
            data += self._new("log")
        for piece in ("log.old", "log.tail"):
            new = self._new(piece)
            # Once the head is full it grows again only at the end, by what stood in the pieces.
            self._past_head = self._past_head or bool(new)
            data += new
        end = len(data) if last else data.rfind(b"\n") + 1
        self._rest = data[end:]
        text = self._secrets.redact(data[:end].decode("utf-8", "replace"))
        # A step's own words, but they may not drive the terminal.
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
        click.secho(f"{log.title} has not begun, or its log was swept.", err=True)
        return
    click.echo(reader.more(last=last), nl=False)
