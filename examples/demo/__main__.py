"""Plays the story and shows it.

`python -m examples.demo [--keep] [--bucket s3] [--engine docker|kubernetes] [--folder DIR]`
"""

import argparse
import asyncio
import contextlib
import fcntl
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console, RenderableType
from rich.text import Text

from controller.cli.terminal.snapshot import snapshot
from controller.cli.terminal.tree import render
from controller.git.environments import BRANCH
from examples.demo.cluster import check as check_cluster
from examples.demo.cluster import cluster
from examples.demo.data import Data
from examples.demo.delivery import S3, Delivery, Directory
from examples.demo.engine import NoEngine, StoryEngine, containers
from examples.demo.oncall import OnCall, on_duty
from examples.demo.show import Show
from examples.demo.story import ACTS
from examples.demo.world import EXAMPLE, HEADGATE, Unexpected, World, end_all
from specs.failures import Failure

ROOT = Path(__file__).parents[2]
_STARTED = {"docker": containers, "kubernetes": cluster}
"""What starts an engine that is not there without it."""


def main() -> int:
    arguments = _arguments()
    console = Console()
    folder: Path = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            console.print(
                f"Another demo is running in {folder}; choose another folder with --folder."
            )
            return 1
        try:
            return _prepare_and_perform(arguments, folder, console)
        except NoEngine as missing:
            console.print(Text(f"The demo cannot be prepared: {missing}."), soft_wrap=True)
            return 1
        except subprocess.CalledProcessError as error:
            console.print(Text((error.stderr or b"").decode(errors="replace")[-2000:]))
            console.print("The demo cannot be prepared; see above.")
            return 1
        except KeyboardInterrupt:
            return 130


def _prepare_and_perform(arguments: argparse.Namespace, folder: Path, console: Console) -> int:
    """Prepare data and engine, and play the story. Raises `NoEngine` and CalledProcessError."""

    def say(what: str) -> None:
        console.print(Text(f"{what[0].upper()}{what[1:]} …", "dim"), soft_wrap=True)

    if arguments.engine == "kubernetes":
        check_cluster()  # before anything that takes long
    data = Data(folder / "cache", EXAMPLE)
    data.prepare(lambda what: say(f"only the first time: {what}"))
    story = folder / "story"
    with contextlib.ExitStack() as stack:
        engine = StoryEngine()
        if arguments.engine in _STARTED:
            engine = stack.enter_context(_STARTED[arguments.engine](data, say))
        delivery: Delivery = Directory(story / "bucket")
        if arguments.bucket == "s3" or engine.remote:
            delivery = S3(folder / "s3.log", engine.machine)
        world = partial(World, story, data, delivery=delivery, engine=engine)
        return asyncio.run(_perform(story, world, console, keep=arguments.keep))


async def _perform(
    folder: Path, made: Callable[[OnCall], World], console: Console, *, keep: bool
) -> int:
    await end_all(folder / "headgate")  # left by a demo that was killed
    shutil.rmtree(folder, ignore_errors=True)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with on_duty(folder / "oncall.jsonl") as oncall:
        world = made(oncall)
        try:
            world.begin()
            playing = asyncio.create_task(_play(world, console))
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait({playing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not playing.done():
                playing.cancel()
                await asyncio.gather(playing, return_exceptions=True)
                console.print("Stopped; ending everything that was started.")
                return 130
            well = playing.result()
            await _where(world, console, keep=keep)
            if keep:
                console.print(
                    "\nThe controller, the model and its callers keep running until Ctrl-C."
                )
                await stopping
            stopping.cancel()
            return 0 if well else 1
        finally:
            await world.tear_down()


async def _play(world: World, console: Console) -> bool:
    """Play all acts, up to the first that fails."""
    show = Show([act.title for act in ACTS], console)

    tree: RenderableType = ""

    async def look() -> RenderableType:
        nonlocal tree
        if world.store is not None:
            with contextlib.suppress(Failure):  # the store is busy: keep the previous picture
                tree = render(await snapshot(world.store, world.home))
        return tree

    failure: Unexpected | None = None
    async with show.live(look):
        for number, act in enumerate(ACTS, 1):
            show.begin(number)
            try:
                show.end(await act.play(world, show.say), well=True)
            except Exception as error:
                failure = error if isinstance(error, Unexpected) else _unforeseen(error)
                show.end(f"expected {failure.expected}", well=False)
                break
    console.print()
    console.print(show.summary())
    if failure is not None:
        console.print(Text(f"\nExpected: {failure.expected}\nSeen:     {failure.seen}", "red"))
        console.print(f"Logs:     {world.log}")
    return failure is None


def _unforeseen(error: Exception) -> Unexpected:
    """An unforeseen error, such as a router that is gone or an unexpected answer."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    seen = f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
    return Unexpected("the act to go on", seen)


async def _where(world: World, console: Console, *, keep: bool) -> None:
    """Print where everything is, and how to look at it."""
    address = "ended with the demo; `make demo KEEP=1` keeps it running"
    with contextlib.suppress(OSError):
        address = f"{await world.address()}/predict" if keep else address
    lines = {
        "folder": world.folder,
        "the remote": world.remote,
        "production": address,
        "releases": f"git -C {world.remote} log {BRANCH}",
        "reports": f"git -C {world.remote} log --notes=headgate main",
        "status": f"cd {world.folder} && {HEADGATE} status",
        "on-call": world.oncall.record,
        "logs": world.log,
    }
    if told := world.engine.told():
        lines["cluster"] = told
    if keep and world.engine.look:
        lines["its objects"] = world.engine.look
    console.print()
    for name, what in lines.items():
        console.print(Text(f"{name:<11} {what}"), soft_wrap=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="keep everything running until Ctrl-C")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / ".demo", help="the folder for everything"
    )
    where = "where data arrives: a directory, or an S3 server that the demo starts (always with "
    where += "kubernetes)"
    parser.add_argument("--bucket", choices=("directory", "s3"), help=where)
    how = "how steps and model servers run: as processes, in Docker containers, or on a real "
    how += "Kubernetes that the demo starts"
    parser.add_argument("--engine", choices=("local", *_STARTED), default="local", help=how)
    arguments = parser.parse_args()
    if (arguments.engine, arguments.bucket) == ("kubernetes", "directory"):
        parser.error("a cluster reaches no directory of this machine: leave --bucket out")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
