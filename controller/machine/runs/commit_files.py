"""PURE. The files of a commit, which everything that reads the commit shares."""

from collections.abc import Mapping
from functools import cached_property

from specs.path_index import PathIndex


class CommitFiles(dict[str, str]):
    """The digest of each file by path, as `controller.git` reads them. Never change it.

    A dict of its own type, so that pydantic can be told not to copy it for every pipeline of the
    repository.
    """

    @cached_property
    def paths(self) -> PathIndex:
        """All paths, sorted."""
        return PathIndex(self)

    @cached_property
    def _folders(self) -> dict[str, Mapping[str, str]]:
        return {}

    def below(self, folder: str) -> Mapping[str, str]:
        """Digests by path below a folder; made once for all specs of that folder."""
        if not folder:
            return self
        if folder not in self._folders:
            start = len(folder) + 1
            found = {path[start:]: self[path] for path in self.paths.below(folder)}
            self._folders[folder] = found
        return self._folders[folder]
