"""`headgate init`."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click

from controller.cli.failures import Failed
from controller.cli.folders import files_below
from controller.cli.importing import imported
from controller.cli.write.drafts.composing import draft
from controller.cli.write.drafts.reading import folder_at, sample_in
from controller.cli.write.drafts.validity import valid_part
from controller.cli.write.drafts.values import Folder
from controller.cli.write.drafts.writing import settings_text, spec_text
from controller.cli.write.examples import ABOUT, Example, copy, example_of, examples, listed
from controller.cli.write.remotes import name_of, required_remote_of
from controller.config.settings import FILE
from controller.config.settings_file import load_settings
from specs.lint.check import check
from specs.lint.drafts import CODE as TODO
from specs.loading.problems import Problem, has_errors, render_text
from specs.model import SPEC_FILE

HOME = ".headgate"
"""The folder of the controller's state, unless the settings name another."""
_SUITES = "controller.cli.write.profiling.suites"
_ORIGIN = _ALL_EXAMPLES = ""
"""The value of an option that is given without one."""


@click.command(short_help="Draft a spec for a folder.")
@click.argument("folder", default=".", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--name",
    metavar="NAME",
    help="The name of the pipeline; by default that of the repository or folder. If the folder has "
    "a spec already, the new one is written to ml-pipeline.NAME.yaml.",
)
@click.option(
    "--repository",
    metavar="[URL]",
    is_flag=False,
    flag_value=_ORIGIN,
    help="Also write headgate.yaml, so that `headgate up` watches this repository; by default the "
    "remote `origin` of FOLDER.",
)
@click.option(
    "--example",
    metavar="[NAME]",
    is_flag=False,
    flag_value=_ALL_EXAMPLES,
    help="Copy an example into FOLDER instead; without NAME, list the examples.",
)
def init(folder: Path, name: str | None, repository: str | None, example: str | None) -> None:
    """Draft an ml-pipeline.yaml from the files in FOLDER.

    It reads scripts and their options, dvc.yaml, MLproject, a Makefile, notebooks, imports,
    environments and the first rows of the data, and runs nothing. The draft says what was guessed,
    and has a TODO for everything that has to be filled in. If the data is there, a suite is
    proposed from it, as by `headgate profile`. Existing files are never overwritten.

    \b
    Example:
      headgate init . --repository git@example.org:team/flights.git
      headgate init --example minimal --repository
    """
    if example == _ALL_EXAMPLES:
        click.echo(listed(examples()))
        return
    if example is not None and name is not None:
        raise click.UsageError("--example and --name cannot be combined.")
    known = example_of(example) if example is not None else None
    folder.mkdir(parents=True, exist_ok=True)
    url = required_remote_of(folder) if repository == _ORIGIN else repository
    if known is not None:
        _lay_out(known, folder, url)
    else:
        _draft(folder, name, url)


def _lay_out(one: Example, folder: Path, url: str | None) -> None:
    """Copy an example, and write settings for a repository at `url` if there is one."""
    copied = copy(one, folder)
    settings = {} if url is None else {folder / FILE: settings_text(one.name, url)}
    wrote = [*(folder / name for name in copied.wrote), *_missing(settings)]
    if not wrote:
        raise Failed(f"{folder} already has all files of {one.name}; nothing was written.")
    for name in copied.wrote:
        click.echo(f"Wrote {folder / name}")
    for name in copied.skipped:
        click.echo(f"Kept the existing {folder / name}")
    _write(settings)
    if url is not None:
        _ignore_home(folder)
    _next_steps([f"Read {folder / ABOUT}."], with_settings=url is not None)


def _draft(folder: Path, name: str | None, url: str | None) -> None:
    """Draft a spec, and write settings for a repository at `url` if there is one."""
    there = folder_at(folder, name_of(folder))
    found = draft(there, name, lambda data: sample_in(folder, there, data))
    spec = folder / _file_of(there, found.name, asked=name is not None)
    suites: Mapping[str, str] = {}
    if not spec.exists():
        if any(one.uri and one.expectations is None for one in found.data.values()):
            found, suites = imported(_SUITES).with_suites(found, folder, there)
        found = valid_part(found, lambda text: _wrong(text, spec, folder, there, suites))
    wanted = {spec: spec_text(found)}
    if url is not None:
        wanted[folder / FILE] = settings_text(found.name, url)
    missing = _missing(wanted)
    if not missing:
        names = " and ".join(map(str, wanted))
        verb = "exists" if len(wanted) == 1 else "exist"
        raise Failed(
            f"{names} already {verb}; nothing was written. To draft another pipeline in a separate "
            "file, use --name NAME."
        )
    _self_check(missing, folder, there, suites)
    _write({**wanted, **{folder / path: text for path, text in suites.items()}})
    for said in found.left_out if spec in missing else ():
        click.echo(f"Note: {said}", err=True)
    if url is not None:
        _ignore_home(folder)
    review = [*missing, *(folder / path for path in suites)]
    steps = [f"Review {' and '.join(map(str, review))}."]
    todos = missing.get(spec, "").count("TODO")
    if todos:
        count = "the TODO" if todos == 1 else f"the {todos} TODOs"
        steps.append(f"Fill in {count}: `headgate validate` lists them.")
    if found.missing and spec in missing:
        steps.append(f"Write {', '.join(found.missing)}; the spec shows the arguments.")
    _next_steps(steps, with_settings=url is not None)


def _file_of(there: Folder, name: str, *, asked: bool) -> str:
    """The file name of the spec: a second pipeline gets its own file, if it was given a name."""
    other = there.beside is not None and there.beside.metadata.name != name
    return f"ml-pipeline.{name}.yaml" if asked and other else SPEC_FILE


def _missing(wanted: Mapping[Path, str]) -> dict[Path, str]:
    return {path: text for path, text in wanted.items() if not path.exists()}


def _write(wanted: Mapping[Path, str]) -> None:
    for path, text in wanted.items():
        if path.exists():
            click.echo(f"Kept the existing {path}")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            click.echo(f"Wrote {path}")


def _ignore_home(folder: Path) -> None:
    """Keep the controller's state out of the repository that it watches."""
    path = folder / ".gitignore"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if any(line.strip().strip("/") == HOME for line in text.splitlines()):
        return
    path.write_text(f"{text}{'' if text.endswith(chr(10)) or not text else chr(10)}{HOME}/\n")
    click.echo(f"Added {HOME}/ to {path}")


def _wrong(
    text: str, path: Path, folder: Path, there: Folder, suites: Iterable[str]
) -> tuple[Problem, ...]:
    """The errors of a spec other than its TODOs; `suites` are files that will be there."""
    shared = (f"//{file}" for file in there.around.files) if there.around is not None else ()
    files = {*files_below(folder), *shared, *suites, SPEC_FILE}
    found = check(text, str(path), files, folder=there.place).problems
    return tuple(one for one in found if one.severity == "error" and one.code != TODO)


def _self_check(
    wanted: Mapping[Path, str], folder: Path, there: Folder, suites: Iterable[str]
) -> None:
    """Raises `Failed` if the drafted files are not valid, rather than writing them."""
    for path, text in wanted.items():
        if path.name == FILE:
            problems = load_settings(text, str(path)).problems
        else:
            problems = _wrong(text, path, folder, there, suites)
        if has_errors(problems):
            shown = render_text(problems, {str(path): text})
            raise Failed(f"no spec can be written for this folder:\n{shown}")


def _next_steps(first: Sequence[str], *, with_settings: bool) -> None:
    steps = [*first, "Check it with `headgate validate`; `headgate plan` shows what it would run."]
    if with_settings:
        steps.append("Commit and push it, then run `headgate up`.")
    click.echo("\nNext:")
    for number, step in enumerate(steps, 1):
        click.echo(f"  {number}. {step}")
