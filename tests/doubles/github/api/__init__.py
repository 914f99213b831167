"""The operations of the API. Importing them fills the table of routes."""

from tests.doubles.github.acts import notice
from tests.doubles.github.api import apps, checks, issues, pulls, releases, repositories

ALL = (apps, checks, issues, pulls, releases, repositories)

__all__ = ["ALL", "notice"]
