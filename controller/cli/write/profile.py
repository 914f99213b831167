"""`headgate profile`."""

import tempfile
from pathlib import Path

import click

from controller.cli.failures import Failed
from controller.cli.folders import spec_option
from controller.cli.write.profiling.data import DataToProfile, data_named
from controller.cli.write.profiling.process import propose_apart
from validators.data.profile.request import SuiteProposal


@click.command(short_help="Propose a suite from data.")
@click.argument("data", nargs=-1)
@click.option(
    "--in",
    "folder",
    metavar="FOLDER",
    default=".",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder with the spec; by default this one.",
)
@spec_option
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the suite to FILE; by default it is printed.",
)
@click.option("--force", is_flag=True, help="Overwrite FILE if it exists.")
def profile(
    data: tuple[str, ...], folder: Path, spec_file: str | None, output: Path | None, force: bool
) -> None:
    """Propose a Great Expectations suite from DATA, as YAML to review.

    DATA is a dataset of the spec, by its name, or files, a folder, or an address such as s3://...;
    without DATA, the only dataset of the spec. A name that is also a file is the dataset: write
    ./NAME for the file.

    Beside each expectation a comment says what in the data speaks for it, and how many rows. The
    data meets all of it: the gate's own engine has judged it. Values that are only likely, such as
    ranges, are warnings.

    The suite shows least and greatest numbers and dates, and the texts of a column only if they
    are few and each occurs often, never of a column whose name or texts look personal (names, mail
    addresses, phone numbers).

    \b
    Example:
      headgate profile flights --output expectations/flights.yaml
      headgate profile data/*.parquet
    """
    if output is None and force:
        raise click.UsageError("--force needs --output: it overwrites that file.")
    if output is not None and output.exists() and not force:
        raise Failed(f"{output} exists; --force overwrites it.")
    with tempfile.TemporaryDirectory(prefix="headgate-profile-") as scratch:
        home = Path(scratch)
        found = data_named(data, folder, spec_file, home)
        made = propose_apart(found.request, home)
    text = _text(made, found)
    counted = f"{_many(made.expectations, 'expectation')} from {_many(made.rows, 'row')}"
    if output is None:
        click.echo(text, nl=False)
        click.echo(f"Proposed {counted}.", err=True)
        return
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")
    click.echo(f"Wrote {output}: {counted}. Review it before you commit it.")
    if found.lacks_suite:
        click.echo(f"Then name it in {found.spec}: `expectations:` of {found.request.dataset}.")


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _text(made: SuiteProposal, found: DataToProfile) -> str:
    if made.text is not None:
        return made.text
    why = "\n".join(f"  {problem}" for problem in made.problems)
    raise Failed(f"no suite can be proposed for {found.request.dataset}:\n{why}")
