"""`headgate init`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from controller.cli.failures import Failed
from controller.cli.folders import below
from controller.cli.write.drafts.composing import draft
from controller.cli.write.drafts.lesser import valid_part
from controller.cli.write.drafts.reading import folder_at, sample_in
from controller.cli.write.drafts.values import Folder
from controller.cli.write.drafts.writing import settings_text, spec_text
from controller.cli.write.examples import ABOUT, Example, copy, example_of, examples, listed
from controller.cli.write.remotes import name_of, the_remote_of
from controller.config.settings import FILE
from controller.config.settings_file import load_settings
from specs.lint.check import check
from specs.lint.drafts import CODE as TODO
from specs.loading.problems import Problem, has_errors, render_text
from specs.model import SPEC_FILE

HOME = ".headgate"
"""The folder of the controller's state, where the settings name no other."""
_OF_THE_CLONE = _ALL_OF_THEM = ""
"""An option that is given without its value."""


@click.command(short_help="Write a spec that fits the folder.")
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--name",
    metavar="NAME",
    help="The pipeline's name; without it, the repository's or the folder's. Beside another spec "
    "it gets a file of its own, ml-pipeline.NAME.yaml.",
)
@click.option(
    "--repository",
    metavar="[URL]",
    is_flag=False,
    flag_value=_OF_THE_CLONE,
    help="Also write headgate.yaml, with which `headgate up` watches this repository; without a "
    "URL, the remote `origin` of FOLDER.",
)
@click.option(
    "--example",
    metavar="[NAME]",
    is_flag=False,
    flag_value=_ALL_OF_THEM,
    help="Write one of the examples into FOLDER instead; without a NAME, list them.",
)
def init(folder: Path, name: str | None, repository: str | None, example: str | None) -> None:
    """Look at FOLDER and write an ml-pipeline.yaml that fits what is there.

    It reads scripts with their options, dvc.yaml, MLproject, a Makefile, notebooks, imports,
    environments and the data's first rows, and runs nothing. It says what it guessed, and marks by
    TODO what it cannot know. A file that is there already is left as it is.

    \b
    Example:
      headgate init . --repository git@example.org:team/flights.git
      headgate init --example minimal --repository
    """
    if example == _ALL_OF_THEM:
        click.echo(listed(examples()))
        return
    if example is not None and name is not None:
        raise click.UsageError("an example has a name of its own: leave --name out.")
    known = example_of(example) if example is not None else None
    folder.mkdir(parents=True, exist_ok=True)
    url = the_remote_of(folder) if repository == _OF_THE_CLONE else repository
    if known is not None:
        _lay_out(known, folder, url)
    else:
        _draft(folder, name, url)


def _lay_out(one: Example, folder: Path, url: str | None) -> None:
    """Write an example, with settings for a repository at `url`."""
    copied = copy(one, folder)
    settings = {} if url is None else {folder / FILE: settings_text(one.name, url)}
    wrote = [*(folder / name for name in copied.wrote), *_missing(settings)]
    if not wrote:
        raise Failed(f"all of {one.name} is in {folder} already; nothing was written.")
    for name in copied.wrote:
        click.echo(f"Wrote {folder / name}")
    for name in copied.left:
        click.echo(f"Left {folder / name} as it is")
    _write(settings)
    if url is not None:
        _ignore_home(folder)
    _next_steps([f"Read {folder / ABOUT}."], with_settings=url is not None)


def _draft(folder: Path, name: str | None, url: str | None) -> None:
    """Write a spec that fits, with settings for a repository at `url`."""
    there = folder_at(folder, name_of(folder))
    found = draft(there, name, lambda data: sample_in(folder, there, data))
    spec = folder / _file_of(there, found.name, asked=name is not None)
    if not spec.exists():
        found = valid_part(found, lambda text: _wrong(text, spec, folder, there))
    wanted = {spec: spec_text(found)}
    if url is not None:
        wanted[folder / FILE] = settings_text(found.name, url)
    missing = _missing(wanted)
    if not missing:
        names = " and ".join(map(str, wanted))
        verb = "is" if len(wanted) == 1 else "are"
        raise Failed(
            f"{names} {verb} there already; nothing was written. --name NAME drafts another "
            "pipeline in a file of its own."
        )
    _self_check(missing, folder, there)
    _write(wanted)
    for said in found.left_out if spec in missing else ():
        click.echo(f"Note: {said}", err=True)
    if url is not None:
        _ignore_home(folder)
    steps = [f"Look through {' and '.join(map(str, missing))}."]
    todos = missing.get(spec, "").count("TODO")
    if todos:
        tells = "its TODO" if todos == 1 else f"its {todos} TODOs"
        steps.append(f"Do what it leaves to you: `headgate validate` tells {tells}.")
    if found.missing and spec in missing:
        steps.append(f"Write {', '.join(found.missing)}; the spec shows how they are called.")
    _next_steps(steps, with_settings=url is not None)


def _file_of(there: Folder, name: str, *, asked: bool) -> str:
    """A second pipeline, which a person has named, gets a file of its own."""
    other = there.beside is not None and there.beside.metadata.name != name
    return f"ml-pipeline.{name}.yaml" if asked and other else SPEC_FILE


def _missing(wanted: Mapping[Path, str]) -> dict[Path, str]:
    return {path: text for path, text in wanted.items() if not path.exists()}


def _write(wanted: Mapping[Path, str]) -> None:
    for path, text in wanted.items():
        if path.exists():
            click.echo(f"Left {path} as it is")
        else:
            path.write_text(text, encoding="utf-8")
            click.echo(f"Wrote {path}")


def _ignore_home(folder: Path) -> None:
    """The controller's state does not belong into the repository that it watches."""
    path = folder / ".gitignore"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if any(line.strip().strip("/") == HOME for line in text.splitlines()):
        return
    path.write_text(f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{HOME}/\n")
    click.echo(f"Added {HOME}/ to {path}")


def _wrong(text: str, path: Path, folder: Path, there: Folder) -> tuple[Problem, ...]:
    """The errors of a spec, but for what is left to do."""
    shared = (f"//{file}" for file in there.around.files) if there.around is not None else ()
    files = {*below(folder), *shared, SPEC_FILE}
    found = check(text, str(path), files, folder=there.place).problems
    return tuple(one for one in found if one.severity == "error" and one.code != TODO)


def _self_check(wanted: dict[Path, str], folder: Path, there: Folder) -> None:
    """What is written has to be valid; else somebody's first minute is spent on our mistake."""
    for path, text in wanted.items():
        if path.name == FILE:
            problems = load_settings(text, str(path)).problems
        else:
            problems = _wrong(text, path, folder, there)
        if has_errors(problems):
            shown = render_text(problems, {str(path): text})
            raise Failed(f"no spec can be written for this folder:\n{shown}")


def _next_steps(first: Sequence[str], *, with_settings: bool) -> None:
    steps = [*first, "`headgate validate` checks it, `headgate plan` says what it would run."]
    if with_settings:
        steps.append("Commit and push it, then `headgate up`.")
    click.echo("\nNext:")
    for number, step in enumerate(steps, 1):
        click.echo(f"  {number}. {step}")
