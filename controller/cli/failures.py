"""The message and the exit code of a command that fails."""

from collections.abc import Iterator

import click

from specs.failures import Failure, TryAgain

FAILED, UNREACHABLE = 1, 3


class Unreachable(click.ClickException):
    """The store or git cannot be reached."""

    exit_code = UNREACHABLE


class Failed(click.ClickException):
    """The subject of the command failed, or the request cannot be carried out."""

    exit_code = FAILED


def as_click_error(error: BaseException) -> click.ClickException:
    """Any error as one message with an exit code."""
    for one in _leaves(error):
        if isinstance(one, click.ClickException):
            return one
        if isinstance(one, TryAgain):
            return Unreachable(str(one))
        if isinstance(one, Failure):
            return Failed(str(one))
        if isinstance(one, OSError):
            where = f"{one.filename}: " if one.filename else ""
            return Failed(f"{where}{one.strerror or one}")
    return Failed(
        f"internal error in Headgate ({type(error).__name__}: {error}); "
        "HEADGATE_DEBUG=1 shows where. Please report it."
    )


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors in a group, one by one."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error
