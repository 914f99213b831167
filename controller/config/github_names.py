"""PURE. Which repository is which on GitHub: apart from the client, as settings need none."""

import re
from urllib.parse import urlsplit

from controller.config.settings import Settings


def names_of(settings: Settings) -> dict[str, str]:
    """`owner/name` on GitHub by the repository's name here: as it says, or by its address."""
    host = urlsplit(settings.github.url).hostname or ""
    found = {
        each.name: each.github or _by_address(each.url, host) for each in settings.repositories
    }
    return {name: full for name, full in found.items() if full}


def _by_address(url: str, host: str) -> str | None:
    """`https://HOST/owner/name.git`, `ssh://git@HOST/owner/name` and `git@HOST:owner/name`."""
    pattern = rf"(?:https://|ssh://)?(?:[^@/]+@)?{re.escape(host)}(?::\d+/|[/:])([\w.-]+/[\w.-]+?)(?:\.git)?/?"
    found = re.fullmatch(pattern, url, re.IGNORECASE)
    return found[1] if found else None
