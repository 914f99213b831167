"""What an environment must contain, and how each kind of that is installed."""

import os
import re
import shutil
import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from controller.executors.installer import CannotBuild, Installer
from controller.git.environment_surveys import conda_program
from controller.machine.runs.attempt import Recipe
from specs.digests import digest
from specs.projects.conda import PROGRAMS
from specs.projects.packages import readmes
from specs.projects.paths import below
from specs.projects.poetry import as_requirements

_BUILDS = re.compile(r"^\s*(-e|-r|-c|--editable|--requirement|--constraint)", re.MULTILINE)
"""Lines of requirements that include other files, or that are built even without being asked to."""


@dataclass(frozen=True)
class BuildTarget:
    """Where an environment is built."""

    place: Path
    """Its folder, which does not exist yet."""
    scratch: Path
    """An empty folder for temporary files."""
    log: Path
    """The file that the installer's output is appended to."""
    python: str
    """The requested version, or the path of the controller's own."""


@dataclass(frozen=True)
class Requirements:
    """The content of a requirements file."""

    text: str

    @property
    def name(self) -> str:
        return name_of_text(self.text)

    async def make(self, installer: Installer, target: BuildTarget) -> None:
        await installer.make(target.place, target.python, target.log)
        if not self.text.strip():
            return
        listed = target.scratch / "requirements.txt"
        listed.write_text(self.text)
        builds = _BUILDS.search(self.text) is not None
        try:
            await installer.install(target.place, listed, target.scratch, target.log, builds=builds)
        except CannotBuild as failure:
            raise CannotBuild(
                "the requirements cannot be installed; fix the file that "
                f"`environment.requirements` names. {failure}"
            ) from None


@dataclass(frozen=True)
class Locked:
    """The content of a project's lock file."""

    recipe: Recipe
    checkout: Path
    """The commit's files."""

    @property
    def name(self) -> str:
        return name_of(self.recipe.digest)

    async def make(self, installer: Installer, target: BuildTarget) -> None:
        project = self.recipe.project
        try:
            if project.kind == "conda":
                await self._conda(installer, target)
                return
            await installer.make(target.place, target.python, target.log)
            listed = await self._listed(installer, target)
            await installer.install(target.place, listed, target.scratch, target.log)
        except CannotBuild as failure:
            raise CannotBuild(
                f"what {project.lock} lists cannot be installed; fix it, or lock again. {failure}"
            ) from None

    async def _listed(self, installer: Installer, target: BuildTarget) -> Path:
        """The content of the lock, as a file that the installer can read."""
        project, scratch = self.recipe.project, target.scratch
        top = scratch / "project"
        _lay_out(self.checkout, top, (project.lock, *project.manifests, *project.archives))
        lock = top / project.lock
        if project.kind == "poetry":
            text = lock.read_text(encoding="utf-8")
            listed = lock.with_name("requirements.txt")
            chosen = (self.recipe.groups, self.recipe.extras)
            folder = lock.parent.resolve().as_uri()
            listed.write_text(as_requirements(tomllib.loads(text), *chosen, folder))
            return listed
        if project.kind == "pylock":
            return lock
        # Beside the lock, as archives are named relative to it.
        listed = lock.with_name("pylock.toml")
        await installer.export(top / project.folder, self.chosen, listed, scratch, target.log)
        return listed

    @property
    def chosen(self) -> tuple[str, ...]:
        """uv's options for the groups and extras, without the repository's own packages."""
        recipe = self.recipe
        return (
            *(f"--group={name}" for name in recipe.groups),
            *(f"--extra={name}" for name in recipe.extras),
            *(f"--no-emit-package={one.name}" for one in recipe.project.packages),
        )

    async def _conda(self, installer: Installer, target: BuildTarget) -> None:
        program = conda_program()
        if program is None:
            raise CannotBuild(
                f"none of {', '.join(PROGRAMS)} is on the controller's PATH; install micromamba"
            )
        lock = self.recipe.project.lock
        _lay_out(self.checkout, target.scratch / "project", (lock,))
        await installer.conda(program, target.place, target.scratch / "project" / lock, target.log)


@dataclass(frozen=True)
class Packages:
    """The packages of the repository itself, for the Python of an environment."""

    recipe: Recipe
    checkout: Path
    environment: Path

    @property
    def name(self) -> str:
        return name_of_packages(self.recipe)

    async def make(self, installer: Installer, target: BuildTarget) -> None:
        top = target.scratch / "packages"
        folders = []
        for package in self.recipe.project.packages:
            manifest = below(package.folder, "pyproject.toml")
            _lay_out(self.checkout, top, (*package.files, manifest))
            folders.append(top / package.folder)
            _describe(top / package.folder)
        target.place.mkdir()
        python = self.environment / "bin" / "python"
        try:
            await installer.add(python, folders, target.place, target.scratch, target.log)
        except CannotBuild as failure:
            names = ", ".join(one.folder or "." for one in self.recipe.project.packages)
            raise CannotBuild(
                f"the packages of the repository cannot be built ({names}); a build sees only the "
                f"package's pyproject.toml and sources. {failure}"
            ) from None


EnvironmentSpec = Requirements | Locked | Packages


def name_of(full: str) -> str:
    """The part of a digest that names an environment."""
    return full[7:31]


def name_of_text(requirements: str) -> str:
    """The name of the environment for the text of a requirements file."""
    return name_of(digest({"requirements": requirements}))


def name_of_packages(recipe: Recipe) -> str:
    """The name of the folder that a project's own packages are installed in."""
    return name_of(digest([recipe.digest, recipe.packages]))


def names_of(recipe: Recipe) -> Collection[str]:
    """The names of everything that is built for a project."""
    return (name_of(recipe.digest), name_of_packages(recipe))


def _lay_out(checkout: Path, top: Path, files: Iterable[str]) -> None:
    """Copy these files and nothing else of the commit, each at its place in the repository. A link
    is replaced by its target, as in the digest, or left out if that is outside the checkout."""
    whole = checkout.resolve()
    for file in files:
        source, copy = (checkout / file).resolve(), top / file
        if not source.is_relative_to(whole):
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, symlinks=True)
            for folder, _, _ in os.walk(copy):
                Path(folder).chmod(0o755)  # a build may write next to the sources
        elif source.is_file():
            copy.write_bytes(source.read_bytes())


def _describe(folder: Path) -> None:
    """Create the package's readme files, empty: the build needs them, and installs the same."""
    manifest = folder / "pyproject.toml"
    named = (
        readmes(tomllib.loads(manifest.read_text(encoding="utf-8"))) if manifest.exists() else ()
    )
    for name in named:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
