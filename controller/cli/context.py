"""What all commands share: the settings, the controller's state, and objects looked up by name."""

import asyncio
import fcntl
import json
import os
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from controller.cli.failures import Failed, Unreachable
from controller.config.settings import FILE, Settings
from controller.config.settings_file import LoadedSettings, load_settings
from controller.machine.core import Key, Value, parsed
from controller.store.addresses import Address, address_of
from controller.store.opening import open_reader
from controller.store.protocol import Record, StoreReader
from controller.store.run_numbers import last_number, split
from specs.failures import Failure
from specs.loading.explain import nearest, one_of
from specs.loading.problems import render_text

_NAMES = 200
"""How many of the latest objects are searched for the nearest name."""

T = TypeVar("T")
V = TypeVar("V", bound=Value)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
limit_option = click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1), help="Maximum number."
)


class CliContext(NamedTuple):
    """The settings of a command, and the folder that paths in them are relative to."""

    settings: Settings
    base: Path

    @property
    def home(self) -> Path:
        """The controller's home folder, which holds its state."""
        return self.settings.path(self.base)


def find_settings(given: str | None) -> Path | None:
    """The settings file: the given one, or the nearest from the current folder upwards."""
    if given is not None:
        return Path(given)
    here = Path.cwd()
    return next((f / FILE for f in (here, *here.parents) if (f / FILE).is_file()), None)


def read_settings(path: Path) -> LoadedSettings:
    """Load a settings file and the environment. Raises `Failed` if the file cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise Failed(f"the settings {path} cannot be read: {error.strerror}") from None
    return load_settings(content, str(path), os.environ)


def load_context(ctx: click.Context) -> CliContext:
    """Load the settings. Raises a usage error if there is no file, `Failed` if it is invalid."""
    path = find_settings(ctx.find_root().obj)
    if path is None:
        raise click.UsageError(
            f"there is no {FILE} in this folder or above. Name one with --settings, or write one "
            "with `headgate init --repository URL`."
        )
    loaded = read_settings(path)
    if loaded.settings is None:
        click.echo(render_text(loaded.problems, {loaded.file: loaded.text}), err=True, nl=False)
        raise Failed("the settings are invalid; see above.")
    return CliContext(loaded.settings, path.absolute().parent)


@asynccontextmanager
async def open_state(here: CliContext) -> AsyncIterator[StoreReader]:
    """Open the controller's state for reading. Raises `Unreachable`."""
    try:
        state = open_reader(state_of(here))
    except Failure as failure:
        raise Unreachable(str(failure)) from None
    try:
        yield state
    finally:
        await state.close()


def state_of(here: CliContext) -> Address:
    """Where the state is. Raises `Unreachable` for a file that is not there yet."""
    address = address_of(here.settings, here.base)
    if isinstance(address, Path) and not address.exists():
        raise Unreachable(f"there is no state in {here.home} yet; `headgate up` creates it.")
    return address


def with_state(ctx: click.Context, ask: Callable[[StoreReader, CliContext], Awaitable[T]]) -> T:
    """Open the state for reading and return what `ask` finds in it."""
    here = load_context(ctx)

    async def run() -> T:
        async with open_state(here) as state:
            return await ask(state, here)

    return asyncio.run(run())


async def require(store: StoreReader, kind: str, name: str, model: type[V], what: str) -> V:
    """The object of that name. Raises `Failed` if there is none."""
    record = await store.get(Key(kind, name))
    if record is None:
        raise await missing(store, what, name, (kind,))
    return parsed(model, record.body)


async def missing(store: StoreReader, what: str, name: str, kinds: Sequence[str]) -> Failed:
    """The error for a name that no object of these kinds has: it was deleted, or names the nearest
    of the latest ones."""
    if "run" in kinds and await _was_deleted(store, name):
        return Failed(
            f"{name} ended longer ago than `keep` in the settings, so its record was deleted. "
            "Its report is still on its commit: in the note that `git log --notes=headgate` "
            "shows, or in its check on GitHub."
        )
    latest = [record for kind in kinds for record in await store.list(kind, limit=_NAMES)]
    return not_found(what, name, [record.key.name for record in latest])


async def _was_deleted(store: StoreReader, name: str) -> bool:
    """Whether a run that is not in the store was: later ones of its pipeline are or were."""
    pipeline, number = split(name)
    return 0 < number <= await last_number(store, pipeline)


def not_found(what: str, name: str, names: Sequence[str]) -> Failed:
    """The error for an unknown name, with the nearest of those given."""
    near = nearest(name, names)
    if near:
        return Failed(f"there is no {what} {name!r}. Did you mean {near}?")
    there = one_of(sorted(names)[:10])
    return Failed(
        f"there is no {what} {name!r}; " + (f"expected {there}." if there else "none yet.")
    )


def parse_all(records: Sequence[Record], model: type[V]) -> list[V]:
    """Parse stored objects."""
    return [parsed(model, record.body) for record in records]


def controller_pid(home: Path) -> int | None:
    """The id of the process that runs a controller on `home`, or None.

    Asks who holds the lock without taking it, so it never keeps a controller from starting. Must
    not be called in a process that itself runs a controller on `home`.
    """
    mac = sys.platform == "darwin"
    form, kind = ("qqihh", fcntl.F_WRLCK) if mac else ("hhqqi", fcntl.F_WRLCK)
    ask = (0, 0, 0, kind, os.SEEK_SET) if mac else (kind, os.SEEK_SET, 0, 0, 0)
    try:
        lock = os.open(home / "controller.lock", os.O_RDWR)
    except OSError:
        return None
    try:
        answer = struct.unpack(form, fcntl.fcntl(lock, fcntl.F_GETLK, struct.pack(form, *ask)))
    finally:
        os.close(lock)
    held, pid = (answer[3], answer[2]) if mac else (answer[0], answer[4])
    return None if held == fcntl.F_UNLCK else pid


def print_json(value: Any) -> None:
    """Print a value, or a list of values, as JSON."""
    plain = [each.plain() for each in value] if isinstance(value, list | tuple) else value.plain()
    click.echo(json.dumps(plain, indent=2, ensure_ascii=False))
