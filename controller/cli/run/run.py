"""`headgate run`."""

import sys
from pathlib import Path

import click

from controller.cli.folders import spec_option
from controller.cli.importing import imported
from controller.cli.run import last_result
from controller.cli.run.heading import print_heading
from controller.cli.run.last_result import Found, Options


@click.command(short_help="Run a commit's pipeline and its gates here.")
@click.argument("path", default=".", type=click.Path(exists=True, path_type=Path))
@spec_option
@click.option("--commit", metavar="REV", default="HEAD", help="The commit to run; by default HEAD.")
@click.option(
    "--base",
    metavar="REV",
    help="Judge by the gates of this commit and compare with its model, as for a pull request with "
    "this base; by default the commit's own gates and no model.",
)
@click.option(
    "--accept-rules",
    is_flag=True,
    help="Pass even if the commit loosens rules of --base.",
)
@click.option(
    "--home",
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where results are kept as a cache; by default in the clone's git folder.",
)
@click.option(
    "--no-cache", is_flag=True, help="Run every step, and keep the results for later runs."
)
@click.option("--forget", is_flag=True, help="Use no cached results and keep none.")
@click.option(
    "--report",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the report to FILE, as Markdown.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "github"]),
    default="text",
    show_default=True,
    help="For people, or for a GitHub Actions job: with annotations, a summary and outputs.",
)
def run(
    path: Path,
    spec_file: str | None,
    commit: str,
    base: str | None,
    accept_rules: bool,
    home: Path | None,
    no_cache: bool,
    forget: bool,
    report: Path | None,
    form: str,
) -> None:
    """Run the pipeline in PATH like a pull request: data gates, steps, model gate.

    It runs what is committed, prints the gates' reports, and releases nothing. The model in
    production is not known here: checks that compare with it use the model of --base, trained here
    on the same data, and are skipped without --base. The secrets that steps name come from
    HEADGATE_SECRET_NAME variables. If nothing changed since the last call, its result is printed
    again.

    The exit code is 0 if all gates pass, 4 if one stops the run, 5 if a step fails, 6 if the run
    passes but loosens rules of --base without --accept-rules, 1 if the spec is invalid, and 130
    after Ctrl-C, which stops all processes; a second Ctrl-C kills them at once.

    \b
    Example:
      headgate run flight-delay
    """
    options = Options(
        path, spec_file, commit, base, accept_rules, home, no_cache, forget, report, form
    )
    _check_options(forget=forget and home is not None, accept=accept_rules and base is None)
    found = last_result.look_up(options)
    if found is not None and _has_same_data(found):
        _repeat(found)
    imported("controller.cli.run.playing").play(options)


def _check_options(*, forget: bool, accept: bool) -> None:
    """Raises a usage error for options that cannot be combined."""
    if forget:
        raise click.UsageError("--forget and --home cannot be combined: --forget keeps no results.")
    if accept:
        raise click.UsageError("--accept-rules needs --base: it accepts rules that differ from it.")


def _has_same_data(found: Found) -> bool:
    if not found.last.data:
        return True
    same: bool = imported("controller.cli.run.data_now").is_same(found.last.data, found.home)
    return same


def _repeat(found: Found) -> None:
    """Print the last result again, and exit with its code."""
    last = found.last
    print_heading(last.pipeline, last.commit, last.subject, found.left_out)
    click.echo(
        f"Nothing to run: nothing that it reads has changed since {last.run}. "
        "`--no-cache` runs everything again."
    )
    if last.gates:
        click.echo()
        click.echo(last.gates, nl=False, color=last.colour)
    click.echo()
    click.echo(last.outcome)
    sys.exit(last.code)
