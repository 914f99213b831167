"""Checks everything that a controller needs, and says how to fix what is missing."""

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
from controller.config.settings_lint import suspicious_settings
from controller.doctor.batches import batches
from controller.doctor.cluster import examine_cluster
from controller.doctor.counters import examine_counters
from controller.doctor.databases import examine_databases
from controller.doctor.findings import Finding, bad, ok, warn
from controller.doctor.gates import examine_gates
from controller.doctor.kserve import examine_kserve
from controller.doctor.messages import messages_set_aside
from controller.doctor.on_github import examine_github
from controller.doctor.specs import conda, examine_specs, scripted, specs_of, teams_of
from controller.doctor.stores import examine_stores
from controller.git import Mirror
from controller.git.environments import BRANCH
from controller.machine.branch_incidents import way_on
from controller.machine.core import parsed
from controller.machine.environments.branch import OVERDUE
from controller.machine.environments.environment import EnvironmentState
from controller.reconcile.resting import resting
from controller.store.addresses import Address, address_of
from controller.store.opening import open_reader
from controller.store.protocol import Record
from deployers.confinement import FIX, confinement
from deployers.windows import SERVING, make_window
from specs.failures import Failure
from specs.figures import duration
from specs.model import Pipeline

LEAST_SPACE = 1 << 30
"""Bytes that should be free in the home folder, at least."""
PROBE = 1 << 16
"""Bytes that are written to test whether the home folder is writable."""
MOST_DRIFT = 60.0
"""Seconds by which the clock may differ from that of the file system."""
OWN_PACKAGES = ("controller", "specs", "validators", "deployers")
PATIENCE = 20.0
"""Timeout of a question to a repository, in seconds."""


async def examine(settings: Settings, base: Path) -> AsyncIterator[Finding]:
    """All findings, including those of passed checks."""
    home = settings.path(base)
    for finding in (*python(), *packages(), *variables(os.environ), *_secrets(settings, base)):
        yield finding
    yield confined(settings)
    with suppress(Failure):  # the finding before says what is wrong with the confinement
        for finding in examine_gates(confinement((), settings.run_as)):
            yield finding
    for warning in suspicious_settings(settings, names_of(settings)):
        yield warn("settings", warning.message, f"expected {warning.fix}")
    for finding in home_folder(home):
        yield finding
    async for finding in _of_state(settings, base):
        yield finding
    for finding in await unwatched(home):
        yield finding
    specs: dict[str, list[Pipeline]] = {each.name: [] for each in settings.repositories}
    for repository in settings.repositories:
        async for finding in remote(repository, repository.address(base), specs[repository.name]):
            yield finding
    teams = {name: teams_of(found) for name, found in specs.items()}
    async for finding in examine_github(settings, base, os.environ, teams):
        yield finding
    async for finding in examine_stores(settings, base):
        yield finding
    known = [*chain(*specs.values())]
    for finding in scripted(known):
        yield finding
    async for finding in examine_specs(settings, home, known):
        yield finding
    async for finding in examine_cluster(settings, base, known):
        yield finding
    async for finding in examine_kserve(settings, base, known):
        yield finding
    with suppress(Failure):  # an earlier finding says what is wrong with the secrets
        secrets = load_secrets(settings, base, os.environ)
        async for finding in examine_databases(secrets, known):
            yield finding
        async for finding in examine_counters(settings, secrets, known):
            yield finding


def python() -> Iterator[Finding]:
    """The interpreter and the programs that Headgate calls."""
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
    """Whether all requirements are installed, and no other distribution shadows our packages."""
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
    """Environment variables that look like settings but are not."""
    for name, near in unknown_variables(environ):
        fix = f"rename it to {near}, or unset it" if near else "unset it"
        yield warn("environment", f"{name} is not a setting", fix)


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
        yield warn("secrets", f"other users can read {path}", f"chmod 600 {path}")
    else:
        yield ok("secrets", f"only its owner can read {path}")


def confined(settings: Settings) -> Finding:
    """Whether local steps and model servers are confined."""
    try:
        found = confinement((), settings.run_as)
    except Failure as failure:
        return bad("confinement", str(failure), "correct `run_as` in the settings")
    if not found.works:
        return warn("confinement", found.lacking, FIX)
    if found.kind == "namespace":
        return ok("confinement", "bwrap runs local steps and servers in namespaces")
    who = settings.run_as or "users of their own"
    return ok("confinement", f"bwrap runs local steps and servers as {who}")


def home_folder(home: Path) -> Iterator[Finding]:
    """Whether the home folder is writable and private, has free space, and has the same time."""
    parent = next(each for each in (home, *home.parents) if each.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=parent) as probe:
            probe.write(b"\0" * PROBE)  # on a full disk, a file can be created but not filled
            probe.flush()
            os.fsync(probe.fileno())
            written = Path(probe.name).stat().st_mtime
    except OSError as error:
        yield bad(
            "home",
            f"{parent} is not writable ({error.strerror})",
            "correct its permissions, free some space, or set `home` to another folder",
        )
        return
    yield ok("home", f"{home} is writable")
    if home.exists() and exposed(home):
        fix = f"chmod 700 {home}, or start `headgate up`, which does the same"
        yield warn("home", f"other users can read {home}", fix)
    free = shutil.disk_usage(parent).free
    if free < LEAST_SPACE:
        said = f"only {free / 2**20:,.0f} MiB are free in {parent}"
        yield warn("space", said, "free some space: artifacts and environments need it")
    else:
        yield ok("space", f"{free / 2**30:,.1f} GiB are free")
    drift = abs(time.time() - written)
    if drift > MOST_DRIFT:
        fix = "synchronize the clocks by NTP, on this machine and where the folder is"
        yield bad("clock", f"it differs from that of the file system by {duration(drift)}", fix)
    else:
        yield ok("clock", "it agrees with that of the file system")


async def _of_state(settings: Settings, base: Path) -> AsyncIterator[Finding]:
    try:
        at = address_of(settings, base)
    except Failure as failure:
        yield bad("state", str(failure), "correct `store` in the settings, or what it names")
        return
    yield await state(at)
    for finding in (*await messages_set_aside(at), *await batches(at)):
        yield finding
    async for finding in unlisted(settings, at):
        yield finding


async def state(at: Address) -> Finding:
    """Whether this version can read the store, and which actions in it keep failing."""
    if isinstance(at, Path) and not at.exists():
        return ok("state", "there is none yet; `headgate up` creates it")
    try:
        store = open_reader(at)
    except Failure as failure:
        return bad("state", str(failure), "see the message")
    try:
        failing = [entry for entry in await store.outbox() if entry.error]
        environments = await store.list("environment")
    finally:
        await store.close()
    inconsistent = [one for one in map(_of_branch, environments) if one is not None]
    if inconsistent:
        return inconsistent[0]
    if failing:
        first = failing[0]
        count = len(failing)
        keeps = "an action keeps" if count == 1 else f"{count} actions keep"
        said = f"{keeps} failing: {first.owner} {first.action['type']}: {first.error}"
        return warn("state", said, "fix what the error names; the controller retries by itself")
    return ok("state", "the store can be read")


def _of_branch(record: Record) -> Finding | None:
    """An inconsistency between an environment and the environments branch."""
    env = parsed(EnvironmentState, record.body)
    if env.unknown is not None:
        return bad("state", f"{env.place}: {env.unknown}", way_on(env.place))
    if env.unwritten_since is not None and time.time() - env.unwritten_since > OVERDUE:
        said = f"{env.place}: no commit could be pushed to {BRANCH} for {duration(OVERDUE)}"
        fix = f"allow Headgate to push {BRANCH}; `headgate status` shows the error"
        return bad("state", said, fix)
    if env.lost_history is not None:
        fix = f"protect {BRANCH} from force-pushes; the next promotion clears this warning"
        return warn("state", f"{env.place}: {env.lost_history}", fix)
    return None


async def unwatched(home: Path) -> list[Finding]:
    """The canaries that get no traffic because no controller watches them."""
    fix = "start `headgate up`; if it is running, its log says what it cannot save"
    return [
        bad(f"canary {each.server}", each.silence.why(), fix)
        for each in await make_window(home / SERVING).unwatched()
    ]


async def unlisted(settings: Settings, at: Address) -> AsyncIterator[Finding]:
    """The repositories that are in the state but not in the settings."""
    if isinstance(at, Path) and not at.exists():
        return
    with suppress(Failure):  # an earlier finding says why
        store = open_reader(at)
        try:
            names = await resting(store, [each.name for each in settings.repositories])
        finally:
            await store.close()
        for name in names:
            said = "it is not in the settings any more, so its pipelines are not managed"
            fix = "if it was only renamed, restore the old name; otherwise ignore this"
            yield warn(f"repository {name}", said, fix)


async def remote(
    repository: RepositorySettings, url: str, specs: list[Pipeline]
) -> AsyncIterator[Finding]:
    """Whether a repository can be reached, and accepts pushes to the environments branch.

    Adds the specs of its default branch to `specs`.
    """
    what = f"repository {repository.name}"
    with tempfile.TemporaryDirectory(prefix="headgate-doctor-") as scratch:
        mirror = Mirror(url, Path(scratch) / "mirror")
        try:
            async with asyncio.timeout(PATIENCE):
                heads = await mirror.heads()
                default = await mirror.default_branch()
        except (Failure, TimeoutError) as failure:
            said = str(failure) or f"it did not answer within {duration(PATIENCE)}"
            yield bad(what, said, "correct `url`, or the credentials for it")
            return
        if default is None or default not in heads:
            yield bad(what, "its default branch has no commit", "push a commit")
            return
        yield ok(what, f"{mirror.url} answers; its default branch is {default}")
        yield await _writable(what, mirror, heads, default)
        with suppress(Failure):  # if it could not be fetched, an earlier finding says why
            specs += await specs_of(mirror, heads[default])
            for finding in conda(specs, await mirror.files(heads[default])):
                yield finding


async def _writable(what: str, mirror: Mirror, heads: Mapping[str, str], default: str) -> Finding:
    """Try a push that changes nothing: of a branch to the commit that it is at."""
    if _is_read_only(mirror.url):  # git itself does not write for a push that changes nothing
        return bad(what, f"{mirror.url} is not writable", "correct its permissions")
    branch = BRANCH if BRANCH in heads else default
    try:
        async with asyncio.timeout(PATIENCE):
            await mirror.fetch()
            await mirror.push(branch, heads[branch], heads[branch])
    except (Failure, TimeoutError) as failure:
        said = str(failure) or f"a push took longer than {duration(PATIENCE)}"
        return bad(what, said, f"allow Headgate's key or token to push {BRANCH} and refs/notes")
    return ok(what, "it accepts pushes")


def _is_read_only(url: str) -> bool:
    """Whether this is a repository on this machine that is not writable."""
    local = Path(url.removeprefix("file://"))
    objects = next((p for p in (local / "objects", local / ".git/objects") if p.is_dir()), None)
    return objects is not None and not os.access(objects, os.W_OK)
