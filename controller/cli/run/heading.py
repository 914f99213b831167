"""What `headgate run` prints first: which commit it is about, and what that leaves out."""

from collections.abc import Sequence

import click

from controller.cli.terminal.formatting import one_line


def print_heading(pipeline: str, commit: str, subject: str, left_out: Sequence[str]) -> None:
    """Print what runs, and which changes are left out because they are not committed."""
    name = click.style(one_line(pipeline), bold=True)
    click.echo(f"{name}  {commit[:12]}  {one_line(subject, 90)}")
    if left_out:
        count = "1 file is" if len(left_out) == 1 else f"{len(left_out)} files are"
        names = ", ".join(one_line(path, 60) for path in left_out[:3])
        more = ", ..." if len(left_out) > 3 else ""
        note = f"{count} changed in the work tree, and only the commit is run: {names}{more}"
        click.secho(note, fg="yellow")
