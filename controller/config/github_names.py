"""PURE. The names on GitHub of the repositories in the settings."""

import re
from urllib.parse import urlsplit

from controller.config.settings import Settings


def names_of(settings: Settings) -> dict[str, str]:
    """`owner/name` on GitHub by the repository's name in the settings: as configured, or taken from
    its address."""
    host = urlsplit(settings.github.url).hostname or ""
    found = {
        each.name: each.github or _by_address(each.url, host) for each in settings.repositories
    }
    return {name: full for name, full in found.items() if full}


def _by_address(url: str, host: str) -> str | None:
    """Parse `https://HOST/owner/name.git`, `ssh://git@HOST/owner/name` or `git@HOST:owner/name`."""
    pattern = rf"(?:https://|ssh://)?(?:[^@/]+@)?{re.escape(host)}(?::\d+/|[/:])([\w.-]+/[\w.-]+?)(?:\.git)?/?"
    found = re.fullmatch(pattern, url, re.IGNORECASE)
    return found[1] if found else None
