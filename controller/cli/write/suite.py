"""`headgate suite`."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import click
from ruamel.yaml import YAML

from controller.cli.failures import Failed
from specs.figures import clip
from specs.loading.problems import render_text
from validators.data.suites.suite import read_content
from validators.data.upgrade import Upgrade, is_of_before, upgraded


@click.group(short_help="Upgrade a suite of Great Expectations before 1.0.")
def suite() -> None:
    """Work on a suite of Great Expectations.

    \b
    Example:
      headgate suite upgrade expectations/flights.json --write
    """


@suite.command(short_help="Rewrite a suite to the form of Great Expectations 1.x.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--write", is_flag=True, help="Write it to FILE itself.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it to this file, as JSON or YAML by its ending.",
)
def upgrade(file: Path, write: bool, output: Path | None) -> None:
    """Rewrite FILE, a suite in the form before Great Expectations 1.0, to today's form.

    It is printed, unless --write or --output says where it goes. What changes is said expectation
    by expectation; the exit code is 1 if something could not be carried over.

    \b
    Example:
      headgate suite upgrade expectations/flights.json --write
    """
    if write and output is not None:
        raise click.UsageError("--write and --output exclude each other.")
    content = _content(file)
    if not isinstance(content, dict) or not isinstance(content.get("expectations"), list):
        raise Failed(f"{file} is no suite: it has no list of `expectations`.")
    if not is_of_before(content):
        click.echo(f"{file} has the form of Great Expectations 1.x; nothing is changed.", err=True)
        return
    found = upgraded(content)
    place = output or file
    text = _as_json(found.suite) if place.suffix == ".json" else _as_yaml(found.suite)
    if write or output is not None:
        _write(place, text)
    else:
        click.echo(text, nl=False)
    _tell(found, place)


def _content(file: Path) -> Any:
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise Failed(f"{file} is not UTF-8 text; save it as UTF-8.") from None
    _, content, problems = read_content(text, str(file))
    if problems:
        raise Failed(render_text(problems, {str(file): text}).rstrip())
    return content


def _write(place: Path, text: str) -> None:
    try:
        place.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failed(f"{place} cannot be written: {error.strerror}.") from None


def _as_json(suite: dict[str, Any]) -> str:
    return json.dumps(suite, indent=2, ensure_ascii=False) + "\n"


def _as_yaml(suite: dict[str, Any]) -> str:
    text = io.StringIO()
    writer = YAML()
    writer.width = 100
    writer.dump(suite, text)
    return text.getvalue()


def _tell(found: Upgrade, place: Path) -> None:
    for remark in found.remarks:
        sign = "lost" if remark.lost else "note"
        click.echo(f"{sign}: {clip(remark.about, 120)}: {remark.what}", err=True)
    count = len(found.suite["expectations"])
    lost = f", {len(found.lost)} could not be carried over" if found.lost else ""
    click.echo(f"{count} expectation{'s' * (count != 1)} in today's form{lost}.", err=True)
    if place.suffix != ".json":
        click.echo("The comments of the file are not kept.", err=True)
    if found.lost:
        sys.exit(1)
