"""The operations of the API. Importing them fills the table of routes."""

from tests.doubles.github.acts import notice
from tests.doubles.github.api import apps, checks, issues, pulls, releases, repositories, teams

ALL = (apps, checks, issues, pulls, releases, repositories, teams)

__all__ = ["ALL", "notice"]
