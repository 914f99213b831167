"""Looks at what a controller needs, and names the mend of each thing that it does not find."""

import asyncio
import importlib.metadata
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path

from controller.config.github_names import names_of
from controller.config.settings import RepositorySettings, Settings
from controller.config.settings_file import exposed, load_secrets, unknown_variables
from controller.config.settings_lint import doubts
from controller.doctor.batches import batches
from controller.doctor.databases import examine_databases
from controller.doctor.findings import Finding, bad, ok, warn
from controller.doctor.on_github import examine_github
from controller.doctor.specs import conda, examine_specs, specs_of, teams_of
from controller.doctor.stores import examine_stores
from controller.git import Mirror
from controller.git.environments import BRANCH
from controller.machine.branch_incidents import way_on
from controller.machine.core import parsed
from controller.machine.environments.environment import EnvironmentState
from controller.machine.environments.losing import LONGEST
from controller.reconcile.resting import resting
from controller.store.protocol import Record
from controller.store.sqlite import SqliteStore
from deployers.confinement import FIX, confinement
from deployers.registry import SERVING, make_window
from specs.failures import Failure
from specs.model import Pipeline

LEAST_SPACE = 1 << 30
"""Bytes that should be free in the home folder."""
PROBE = 1 << 16
"""Bytes that are written to see whether anything can be."""
MOST_DRIFT = 60.0
"""Seconds that the clock may differ from the file system's."""
OWN_PACKAGES = ("controller", "specs", "validators", "deployers")
PATIENCE = 20.0
"""Seconds for which a repository may take to answer."""


async def examine(settings: Settings, base: Path) -> AsyncIterator[Finding]:
    """Every finding, good ones included."""
    home = settings.path(base)
    for finding in (*python(), *packages(), *variables(os.environ), *_secrets(settings, base)):
        yield finding
    yield confined(settings)
    for doubt in doubts(settings, names_of(settings)):
        yield warn("settings", doubt.message, f"expected {doubt.mend}")
    for finding in home_folder(home):
        yield finding
    yield await state(home)
    for finding in (*await unwatched(home), *await batches(home)):
        yield finding
    async for finding in rests(settings, home):
        yield finding
    specs: dict[str, list[Pipeline]] = {each.name: [] for each in settings.repositories}
    for repository in settings.repositories:
        async for finding in remote(repository, repository.address(base), specs[repository.name]):
            yield finding
    teams = {name: teams_of(found) for name, found in specs.items()}
    async for finding in examine_github(settings, base, os.environ, teams):
        yield finding
    async for finding in examine_stores(settings, home):
        yield finding
    known = [*chain(*specs.values())]
    async for finding in examine_specs(settings, home, known):
        yield finding
    with suppress(Failure):  # what is wrong with the file of secrets is told above
        secrets = load_secrets(settings, base, os.environ)
        async for finding in examine_databases(secrets, known):
            yield finding


def python() -> Iterator[Finding]:
    """The interpreter and the programs that are called."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield ok("python", version)
    for program in ("git", "uv"):
        found = _program(program)
        if found:
            yield ok(program, found)
        else:
            yield bad(program, "it is not on PATH", f"install {program}")


def _program(name: str) -> str | None:
    beside = Path(sys.executable).parent / name
    return shutil.which(name) or (str(beside) if beside.exists() else None)


def packages() -> Iterator[Finding]:
    """Whether what Headgate requires is there, and whether somebody else owns its packages."""
    owners = importlib.metadata.packages_distributions()
    for package in OWN_PACKAGES:
        others = sorted(set(owners.get(package, ())) - {"headgate"})
        if others:
            yield bad(
                "packages",
                f"{', '.join(others)} also has a package named {package}",
                "install Headgate in an environment of its own, e.g. with pipx",
            )
    missing = []
    try:
        required = importlib.metadata.requires("headgate") or []
    except importlib.metadata.PackageNotFoundError:
        yield warn("packages", "Headgate is not installed", "install it: pip install .")
        return
    for line in required:
        if "extra ==" in line:
            continue
        name = line.split(";")[0].split("[")[0]
        for mark in "<>=!~ ":
            name = name.split(mark)[0]
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield bad("packages", f"missing: {', '.join(missing)}", "install Headgate again")
    else:
        yield ok("packages", "all requirements are installed")


def variables(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Environment variables that look like settings and are none."""
    for name, near in unknown_variables(environ):
        meant = f"did you mean {near}? " if near else ""
        yield warn("environment", f"{name} is no setting", f"{meant}Else unset it")


def _secrets(settings: Settings, base: Path) -> Iterator[Finding]:
    if settings.secrets is None:
        return
    path = base / settings.secrets
    try:
        load_secrets(settings, base, {})
    except Failure as failure:
        yield bad("secrets", str(failure), "correct the file, or `secrets` in the settings")
        return
    if exposed(path):
        yield warn("secrets", f"others can read {path}", f"chmod 600 {path}")
    else:
        yield ok("secrets", f"{path} can be read by its owner only")


def confined(settings: Settings) -> Finding:
    """Whether local steps and model servers are kept from what is not theirs."""
    try:
        found = confinement((), settings.run_as)
    except Failure as failure:
        return bad("confinement", str(failure), "correct `run_as` in the settings")
    if not found.works:
        return warn("confinement", found.lacking, FIX)
    if found.kind == "namespace":
        return ok("confinement", "local steps and servers run in namespaces, by bwrap")
    who = settings.run_as or "users of their own"
    return ok("confinement", f"local steps and servers run as {who}, by bwrap")


def home_folder(home: Path) -> Iterator[Finding]:
    """Whether the home folder can be written, has room, and agrees about the time."""
    parent = next(each for each in (home, *home.parents) if each.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=parent) as probe:
            probe.write(b"\0" * PROBE)  # a full disk takes a file's name, and none of its bytes
            probe.flush()
            os.fsync(probe.fileno())
            written = Path(probe.name).stat().st_mtime
    except OSError as error:
        yield bad(
            "home",
            f"{parent} cannot be written ({error.strerror})",
            "mend its permissions or free space, or set `home` to another folder",
        )
        return
    yield ok("home", f"{home} can be written")
    if home.exists() and exposed(home):
        mend = f"chmod 700 {home}; `headgate up` does so, too"
        yield warn("home", f"others than its owner can look into {home}", mend)
    free = shutil.disk_usage(parent).free
    if free < LEAST_SPACE:
        said = f"{free / 2**20:,.0f} MiB are free in {parent}"
        yield warn("space", said, "free some: artifacts and environments need room")
    else:
        yield ok("space", f"{free / 2**30:,.1f} GiB are free")
    drift = abs(time.time() - written)
    if drift > MOST_DRIFT:
        mend = "set the clock by NTP, here or where the folder is"
        yield bad("clock", f"it differs from the file system's by {drift:,.0f} s", mend)
    else:
        yield ok("clock", "it agrees with the file system's")


async def state(home: Path) -> Finding:
    """Whether the store can be read by this version, and what in it keeps failing."""
    path = home / "state.db"
    if not path.exists():
        return ok("state", "there is none yet; `headgate up` begins it")
    try:
        store = await SqliteStore.open(path)
    except Failure as failure:
        return bad("state", str(failure), "see the message")
    try:
        failing = [owed for owed in await store.outbox() if owed.error]
        environments = await store.list("environment")
    finally:
        await store.close()
    odd = [one for one in map(_of_branch, environments) if one is not None]
    if odd:
        return odd[0]
    if failing:
        first = failing[0]
        said = f"{len(failing)} effects fail, first {first.owner} {first.action['type']}"
        return warn("state", f"{said}: {first.error}", "mend what it names; it is tried again")
    return ok("state", "the store can be read")


def _of_branch(record: Record) -> Finding | None:
    """What is odd between an environment and its branch."""
    env = parsed(EnvironmentState, record.body)
    if env.unknown is not None:
        return bad("state", f"{env.place}: {env.unknown}", way_on(env.place))
    if env.owed_since is not None and time.time() - env.owed_since > LONGEST:
        said = f"{env.place}: {BRANCH} has not taken a commit for {LONGEST / 60:g} minutes"
        return bad("state", said, f"let Headgate push {BRANCH}; `headgate status` says what fails")
    if env.lost is not None:
        mend = f"protect {BRANCH} from force-pushes; a promotion clears this"
        return warn("state", f"{env.place}: {env.lost}", mend)
    return None


async def unwatched(home: Path) -> list[Finding]:
    """The canaries that have no traffic, as no controller watches them."""
    mend = "start `headgate up`; if it runs, its log names what it cannot save"
    return [
        bad(f"canary {each.server}", each.silence.why(), mend)
        for each in await make_window(home / SERVING).unwatched()
    ]


async def rests(settings: Settings, home: Path) -> AsyncIterator[Finding]:
    """The repositories that the state knows and the settings do not name."""
    path = home / "state.db"
    if not path.exists():
        return
    with suppress(Failure):  # the finding before says why not
        store = await SqliteStore.open(path)
        try:
            names = await resting(store, [each.name for each in settings.repositories])
        finally:
            await store.close()
        for name in names:
            said = "it is in the state and not in the settings, so its pipelines rest"
            mend = "if only its name changed, give it the old one again; else nothing need be done"
            yield warn(f"repository {name}", said, mend)


async def remote(
    repository: RepositorySettings, url: str, specs: list[Pipeline]
) -> AsyncIterator[Finding]:
    """Whether a repository can be reached, and would take a commit of the environments branch.

    Adds to `specs` those of its default branch.
    """
    what = f"repository {repository.name}"
    with tempfile.TemporaryDirectory(prefix="headgate-doctor-") as scratch:
        mirror = Mirror(url, Path(scratch) / "mirror")
        try:
            async with asyncio.timeout(PATIENCE):
                heads = await mirror.heads()
                default = await mirror.default_branch()
        except (Failure, TimeoutError) as failure:
            said = str(failure) or f"it did not answer within {PATIENCE:g} s"
            yield bad(what, said, "correct `url`, or what authenticates there")
            return
        if default is None or default not in heads:
            yield bad(what, "its default branch has no commit", "push one")
            return
        yield ok(what, f"{mirror.url} answers; its default branch is {default}")
        yield await _writable(what, mirror, heads, default)
        with suppress(Failure):  # it was fetched, or the finding before says why not
            specs += await specs_of(mirror, heads[default])
            for finding in conda(specs, await mirror.files(heads[default])):
                yield finding


async def _writable(what: str, mirror: Mirror, heads: Mapping[str, str], default: str) -> Finding:
    """Try a push that changes nothing: of a branch to where it is already."""
    if _is_read_only(mirror.url):  # where it changes nothing, git does not even try to write
        return bad(what, f"{mirror.url} cannot be written", "mend its permissions")
    branch = BRANCH if BRANCH in heads else default
    try:
        async with asyncio.timeout(PATIENCE):
            await mirror.fetch()
            await mirror.push(branch, heads[branch], heads[branch])
    except (Failure, TimeoutError) as failure:
        said = str(failure) or f"a push took longer than {PATIENCE:g} s"
        return bad(what, said, f"let Headgate's key or token push {BRANCH} and refs/notes")
    return ok(what, "it takes pushes")


def _is_read_only(url: str) -> bool:
    """Whether a repository on this machine may not be written to."""
    local = Path(url.removeprefix("file://"))
    objects = next((p for p in (local / "objects", local / ".git/objects") if p.is_dir()), None)
    return objects is not None and not os.access(objects, os.W_OK)
