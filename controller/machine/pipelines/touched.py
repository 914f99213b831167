"""PURE. The pipelines that a commit touches: which specs differ in their inputs from another
commit's, without building the graphs of all."""

from collections.abc import Mapping

from controller.machine.pipelines.code import Code
from controller.machine.pipelines.trust import changes_pipeline
from controller.machine.runs.referenced_files import files_of_project, paths_elsewhere
from specs.path_index import PathIndex, near


def touched(before: Mapping[str, Code], after: Mapping[str, Code]) -> tuple[str, ...]:
    """The paths of the specs of one commit whose spec or inputs differ from those at that path of
    another: all for which `changes_pipeline` is true."""
    if not before:
        return tuple(after)
    was = next(iter(before.values())).source.files
    found = []
    changed: dict[int, PathIndex] = {}
    for path, code in after.items():
        now = code.source.files
        if id(now) not in changed:  # one for all specs of a commit, as they share their files
            changed[id(now)] = changed_paths(was, now)
        earlier = before.get(path)
        shared = earlier is None or earlier.source.files is was
        if shared and is_untouched(earlier, code, changed[id(now)]):
            continue
        if changes_pipeline(earlier, code):
            found.append(path)
    return tuple(found)


def changed_paths(before: Mapping[str, str], after: Mapping[str, str]) -> PathIndex:
    """The paths of the files that two commits do not have in common."""
    if before is after:
        return PathIndex(())
    edited = {path for path, content in after.items() if before.get(path) != content}
    return PathIndex(edited | (before.keys() - after.keys()))


def is_untouched(before: Code | None, after: Code, changed: PathIndex) -> bool:
    """Whether a spec surely has the same inputs at two commits between which these paths changed.

    Cheap, and never true where `changes_pipeline` is; false where only that can tell.
    """
    if before is None or not _is_alike(before, after):
        return False
    if not changed:
        return True
    if changed.below(before.source.folder):
        return False
    return not any(path in changed for path in files_of_project(before.source)) and not any(
        True
        for code in (before, after)
        if code.spec is not None
        for glob in paths_elsewhere(code.spec)
        for _ in near(changed, glob)
    )


def _is_alike(before: Code, after: Code) -> bool:
    """Whether two readings of a spec are the same but for the files of the commits."""
    was, now = before.source, after.source
    return (
        (was.repository, was.path) == (now.repository, now.path)
        and (before.spec is after.spec or before.spec == after.spec)
        and was.images == now.images
        and was.project == now.project
    )
