"""`headgate init`."""

from collections.abc import Sequence
from pathlib import Path

import click

from controller.choosing import specs_in
from controller.cli.drafting import draft, settings_text, spec_text
from controller.cli.failures import Failed
from controller.cli.folders import below
from controller.settings import FILE
from controller.settings_file import load_settings
from specs.lint import check
from specs.model import SPEC_FILE, is_spec_file, named_by
from specs.problems import has_errors, render_text


@click.command(short_help="Write a spec that fits the folder.")
@click.argument("folder", default=".", type=click.Path(path_type=Path))
@click.option("--name", metavar="NAME", help="The pipeline's name; without it, the folder's.")
@click.option(
    "--repository",
    metavar="URL",
    help="Also write headgate.yaml, with which `headgate up` watches this repository.",
)
def init(folder: Path, name: str | None, repository: str | None) -> None:
    """Look at FOLDER and write an ml-pipeline.yaml that fits what is there.

    It finds train.py, evaluate.py, serve.py, requirements.txt, an expectations suite and data in
    Parquet or CSV files, and marks by TODO what it cannot know. A file that is there already is
    left as it is. Of several specs in a folder each is called ml-pipeline.NAME.yaml: name that
    file instead of the folder.

    \b
    Example:
      headgate init . --repository git@example.org:team/flights.git
    """
    folder, file = (folder.parent, folder.name) if is_spec_file(folder.name) else (folder, None)
    if folder.is_file():
        raise click.UsageError(f"{folder} is a file: name a folder, or an ml-pipeline.NAME.yaml.")
    folder.mkdir(parents=True, exist_ok=True)
    others = [] if file or (folder / SPEC_FILE).exists() else specs_in(folder)
    if others:
        another = folder / "ml-pipeline.NAME.yaml"
        raise Failed(
            f"{folder} has {', '.join(others)} already. For another pipeline beside: "
            f"`headgate init {another}`."
        )
    files = list(below(folder))
    spec = folder / (file or SPEC_FILE)
    found = draft(named_by(folder.resolve().name, spec.name), files, name)
    wanted = {spec: spec_text(found)}
    if repository is not None:
        wanted[folder / FILE] = settings_text(found.name, repository)
    missing = {path: text for path, text in wanted.items() if not path.exists()}
    if not missing:
        there = " and ".join(map(str, wanted))
        verb = "is" if len(wanted) == 1 else "are"
        raise Failed(f"{there} {verb} there already; nothing was written.")
    _self_check(missing, files)
    for path in wanted:
        if path in missing:
            path.write_text(missing[path], encoding="utf-8")
            click.echo(f"Wrote {path}")
        else:
            click.echo(f"Left {path} as it is")
    unwritten = found.missing if spec in missing else ()
    _next_steps(list(missing), unwritten, with_settings=repository is not None)


def _self_check(wanted: dict[Path, str], files: list[str]) -> None:
    """What is written has to be valid; else somebody's first minute is spent on our mistake."""
    for path, text in wanted.items():
        if path.name == FILE:
            problems = load_settings(text, str(path)).problems
        else:
            problems = check(text, str(path), {*files, SPEC_FILE}).problems
        if has_errors(problems):
            shown = render_text(problems, {str(path): text})
            raise Failed(f"no spec can be written for this folder:\n{shown}")


def _next_steps(wrote: Sequence[Path], unwritten: Sequence[str], *, with_settings: bool) -> None:
    steps = [f"Look through {' and '.join(map(str, wrote))}."]
    if unwritten:
        steps.append(f"Write {', '.join(unwritten)}; the spec shows how they are called.")
    steps += ["`headgate validate` checks it, `headgate plan` says what it would run."]
    if with_settings:
        steps.append("Commit and push it, then `headgate up`.")
    click.echo("\nNext:")
    for number, step in enumerate(steps, 1):
        click.echo(f"  {number}. {step}")
