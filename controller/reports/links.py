"""PURE. Links to commits and lines of a repository on the web."""

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from validators.render.markdown import code


class Links(NamedTuple):
    """The web address of a repository; without one, commits and files are named but not linked."""

    web: str = ""
    """`https://github.com/owner/name`."""

    def commit(self, sha: str) -> str:
        """A commit in Markdown."""
        return self._link(code(sha[:12]), f"commit/{sha}")

    def changes(self, base: str, head: str) -> str:
        """The diff between two commits, in Markdown."""
        return self._link(f"{code(base[:12])} → {code(head[:12])}", f"compare/{base}...{head}")

    def line(self, sha: str, path: str, line: int | None) -> str:
        """A line of a file at a commit, in Markdown."""
        at = f"#L{line}" if line else ""
        named = code(f"{path}:{line}" if line else path)
        return self._link(named, f"blob/{sha}/{quote(path, safe='/')}{at}")

    def file(self, text: str, sha: str, path: str) -> str:
        """A file at a commit as a link with our own `text`, in Markdown."""
        return self._at(text, f"blob/{sha}/{quote(path, safe='/')}")

    def _link(self, text: str, path: str) -> str:
        # Brackets in a name would end the link text.
        fits = text.startswith("`") and "[" not in text
        return self._at(text, path) if fits else text

    def _at(self, text: str, path: str) -> str:
        # A path with these characters is not a commit or file that has a page.
        fits = self.web and not re.search(r"[\[\]()\s]", path)
        return f"[{text}]({self.web}/{path})" if fits else text


NOWHERE = Links()


def on_github(url: str, names: Mapping[str, str]) -> dict[str, Links]:
    """Links by repository name; `names` maps it to `owner/name` on the GitHub server at `url`."""
    return {name: Links(f"{url.rstrip('/')}/{full}") for name, full in names.items()}
