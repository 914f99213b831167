"""`headgate validate`."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import click

from controller.cli.context import find_settings
from controller.cli.folders import files_below
from controller.cli.write.local_checks import Known, known_secrets, unknown_secrets, with_files
from controller.config.settings import FILE
from controller.config.settings_file import load_settings
from controller.git.commit_info import as_text
from controller.planning.checkout import check_at, top_of, tracked_from
from controller.planning.choosing import specs_in
from specs.globs import ROOT, seen_from
from specs.loading.load import load
from specs.loading.problems import (
    Problem,
    has_errors,
    in_order,
    render_text,
    to_github,
    to_json,
    to_sarif,
)
from specs.model import SPEC_FILE, Pipeline, is_spec_file, misnamed, spec_order
from validators.data.contracts.reading import expectation_problems


class Checked(NamedTuple):
    """The files that were checked, and their problems."""

    files: int
    problems: tuple[Problem, ...]
    sources: dict[str, str]


@click.command(short_help="Check specs, settings and suites.")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github", "sarif"]),
    default="text",
    show_default=True,
    help="For people, programs, GitHub Actions or code scanning.",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.pass_context
def validate(ctx: click.Context, paths: tuple[Path, ...], form: str) -> None:
    """Check every ml-pipeline.yaml, ml-pipeline.NAME.yaml and headgate.yaml in PATHS, and the
    suites that they name.

    PATHS are files, or folders to search; by default the current folder. All problems are reported
    at once. The exit code is 1 if one of them is an error.

    \b
    Example:
      headgate validate examples --format github
    """
    files = find(paths or (Path(),))
    if not files:
        where = ", ".join(map(str, paths)) or "this folder"
        raise click.UsageError(
            f"there is no {SPEC_FILE} or {FILE} in {where}; `headgate init` writes one."
        )
    settings = [file for file in files if file.name == FILE]
    known = known_secrets(next(iter(settings), find_settings(ctx.find_root().obj)))
    checked = check_files(files, known)
    if form == "text":
        _print_text(checked)
    else:
        forms = {"json": to_json, "github": to_github, "sarif": to_sarif}
        text = forms[form](checked.problems)
        click.echo(text, nl=not text.endswith("\n") and bool(text))
    if has_errors(checked.problems):
        sys.exit(1)


def find(paths: Iterable[Path]) -> dict[Path, Path]:
    """The files to check: the named files, and the specs and settings in the named folders; each
    with the folder that was searched."""
    found: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            inside = (path / name for name in files_below(path))
            found |= {file: path for file in inside if _is_ours(file)}
        else:
            found[path] = path.parent
    return found


def _is_ours(file: Path) -> bool:
    """Whether it is a spec, settings, or a spec under a wrong name."""
    if file.name == FILE or is_spec_file(file.name):
        return True
    return misnamed(file.name) is not None and b"MLPipeline" in file.read_bytes()


def check_files(files: Mapping[Path, Path], known: Known | None = None) -> Checked:
    """Check each file: as settings if it is named so, else as a spec, with its suites, the files of
    its environment and the `known` secrets. Each comes with the folder to take as the top of the
    repository outside of git."""
    problems: list[Problem] = []
    sources: dict[str, str] = {}
    there: dict[Path, set[str]] = {}
    for path, searched in files.items():
        content, name = path.read_bytes(), str(path)
        if path.name == FILE:
            loaded_settings = load_settings(content, name)
            problems += loaded_settings.problems
            sources[name] = loaded_settings.text
            continue
        if right := misnamed(path.name):
            message = f"the controller ignores a file named {path.name}: rename it to {right}"
            problems.append(Problem("warning", "misnamed", message, name))
        source = tracked_from(path.parent, searched)
        top = Path(source.repository)
        if top not in there:
            there[top] = {as_text(os.fsencode(file)) for file in files_below(top)}
        seen = {seen_from(source.folder, file) for file in there[top]}
        loaded = check_at(content, name, source, seen, top)
        loaded = with_files(loaded, source, there[top], sources)
        problems += (*loaded.problems, *unknown_secrets(loaded, known))
        sources[name] = loaded.text
        if loaded.sketch is not None:
            for dataset in loaded.sketch.datasets:
                problems += _suite(loaded.sketch, dataset, path.parent, top, sources)
    problems += _duplicates(sources)
    return Checked(len(sources), in_order(problems), sources)


def _duplicates(sources: Mapping[str, str]) -> Iterator[Problem]:
    """A problem for each spec with the same name as another one in its clone (or folder, outside of
    git). Each checked spec is compared with all specs of its folder, too."""
    specs = [Path(name) for name in sources if is_spec_file(Path(name).name)]
    beside = [folder / name for folder in {p.parent for p in specs} for name in specs_in(folder)]
    first: dict[tuple[Path, str], Path] = {}
    tops: dict[Path, Path] = {}
    for path in sorted({*specs, *beside}, key=lambda path: spec_order(path.as_posix())):
        loaded = load(path.read_bytes(), str(path))
        name = loaded.sketch.metadata.name if loaded.sketch else ""
        top = tops.setdefault(path.parent, top_of(path.parent) or path.parent.resolve())
        one = first.setdefault((top, name), path)
        if one != path and path in specs and name not in ("", "unnamed"):
            message = f"{one} is also named {name}: only that pipeline would run"
            expected = "a different `metadata.name` in one of them"
            yield loaded.problem("duplicate", ("metadata", "name"), message, expected=expected)


def _suite(
    spec: Pipeline, dataset: str, folder: Path, top: Path, sources: dict[str, str]
) -> Iterable[Problem]:
    """The problems of the suite, or data contract, of a dataset of the spec in `folder`."""
    of = spec.datasets[dataset]
    suite = of.suite_file
    if suite is None:
        return []
    path = top / suite.removeprefix(ROOT) if suite.startswith(ROOT) else folder / suite
    if not path.is_file():
        return []
    name = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return [Problem("error", "encoding", "the file is not UTF-8 text", name)]
    sources[name] = text
    part = of.contract_object
    return expectation_problems(text, name, spec.params, like=dataset, part=part)


def _print_text(checked: Checked) -> None:
    if checked.problems:
        click.echo(render_text(checked.problems, checked.sources), nl=False)
    if not has_errors(checked.problems):
        files = "1 file is" if checked.files == 1 else f"{checked.files} files are"
        click.echo(f"{files} valid.", err=True)
