"""PURE. Addresses of commits and lines, where a repository can be looked at in a browser."""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from validators.render.markdown import code


class Links(NamedTuple):
    """A repository in a browser, or nowhere: then a commit and a place are just named."""

    web: str = ""
    """`https://github.com/owner/name`."""

    def commit(self, sha: str) -> str:
        """A commit in Markdown."""
        return self._link(code(sha[:12]), f"commit/{sha}")

    def changes(self, base: str, head: str) -> str:
        """What lies between two commits, in Markdown."""
        return self._link(f"{code(base[:12])} → {code(head[:12])}", f"compare/{base}...{head}")

    def line(self, sha: str, path: str, line: int | None) -> str:
        """A line of a file at a commit, in Markdown."""
        at = f"#L{line}" if line else ""
        named = code(f"{path}:{line}" if line else path)
        return self._link(named, f"blob/{sha}/{quote(path, safe='/')}{at}")

    def file(self, text: str, sha: str, path: str) -> str:
        """A file at a commit under `text`, words of our own, in Markdown."""
        return self._at(text, f"blob/{sha}/{quote(path, safe='/')}")

    def _link(self, text: str, path: str) -> str:
        # Brackets of a name would end the link's text.
        fits = text.startswith("`") and "[" not in text
        return self._at(text, path) if fits else text

    def _at(self, text: str, path: str) -> str:
        # What is no commit has no page.
        fits = self.web and not re.search(r"[\[\]()\s]", path)
        return f"[{text}]({self.web}/{path})" if fits else text


NOWHERE = Links()


def on_github(url: str, names: Mapping[str, str]) -> dict[str, Links]:
    """By the repository's name here; `names` has its `owner/name` on the GitHub at `url`."""
    return {name: Links(f"{url.rstrip('/')}/{full}") for name, full in names.items()}
