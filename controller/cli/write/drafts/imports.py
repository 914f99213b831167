"""PURE. Finds the files that a script reads, by following its imports."""

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath

from controller.cli.write.drafts.notebooks import code_of
from controller.cli.write.drafts.scripts import parsed, read_script
from controller.cli.write.drafts.values import Folder

MOST = 12
"""How many files are listed one by one; if there are more, their folders are listed."""
_DATA = (".parquet", ".csv", ".tsv", ".jsonl", ".pkl", ".joblib")


def reads_of(folder: Folder, script: str) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Globs of the files in `folder` that `script` reads, beginning with itself, and the folders
    that have to be on Python's path for that. The globs are None if the script does not exist yet
    or imports modules dynamically."""
    if script not in folder.known:
        return None, ()
    found: dict[str, None] = {script: None}
    shared: dict[str, None] = {}
    paths: dict[str, None] = {}
    todo = [script]
    while todo:
        path = todo.pop()
        text = _code(folder, path)
        tree = parsed(text) if text else None
        if tree is None:
            continue
        if _imports_by_name(tree):
            return None, tuple(paths)
        for module in _modules(tree, path):
            shared |= _shared(folder, module, paths)
            for root in _roots(script):
                files = _files(folder, root, module)
                if not files:
                    continue
                if root != _parent(script):
                    paths[root or "."] = None
                new = [file for file in files if file not in found]
                found |= dict.fromkeys(new)
                todo += new
                break
        found |= dict.fromkeys(_named_files(folder, path, text))
    return (*_as_globs(list(found)), *shared), tuple(paths)


def module_of(folder: Folder, script: str) -> tuple[str, str]:
    """The folder that has to be on Python's path, and the dotted name of the script from there."""
    parts = PurePosixPath(script).with_suffix("").parts
    above = 1 if parts[0] in ("src", "lib") else 0
    for end in range(len(parts) - 2, above, -1):
        if "/".join((*parts[:end], "__init__.py")) not in folder.known:
            return "/".join(parts[:end]), ".".join(parts[end:])
    return "/".join(parts[:above]), ".".join(parts[above:])


def _shared(folder: Folder, module: str, paths: dict[str, None]) -> dict[str, None]:
    """Globs of a shared package of the repository, outside of the folder, and of the packages that
    it imports. Their folders are added to `paths`."""
    found: dict[str, None] = {}
    around, todo = folder.around, [module]
    while around is not None and todo:
        top = todo.pop().partition(".")[0]
        roots = _shared_roots(around)
        root = next((root for root in roots if top and _holds(around, root, top)), None)
        if root is None or any(_holds(folder, own, top) for own in ("", "src", "lib")):
            continue
        prefix = f"{root}/{top}" if root else top
        glob = f"//{prefix}.py" if f"{prefix}.py" in around.known else f"//{prefix}/**"
        if glob in found:
            continue
        found[glob] = None
        paths[f"{{root}}/{root}".rstrip("/")] = None
        files = [f"{prefix}.py", *around.below(prefix)]
        trees = (parsed(around.read(file) or "") for file in files if file in around.known)
        todo += [name for tree in trees if tree for name in _modules(tree, "/")]
    return found


def _shared_roots(around: Folder) -> tuple[str, ...]:
    """The folders where a repository usually keeps shared packages."""
    usual = ("src", "lib", "")
    each = {"/".join(file.split("/")[:2]) for file in around.files
            if file.startswith(("libs/", "packages/")) and file.count("/") > 1}  # fmt: skip
    return (*usual, "libs", "packages", *(f"{one}/src" for one in sorted(each)), *sorted(each))


def _holds(folder: Folder, root: str, top: str) -> bool:
    stem = f"{root}/{top}" if root else top
    return bool({f"{stem}.py", f"{stem}/__init__.py"} & folder.known)


def _code(folder: Folder, path: str) -> str:
    if path.endswith(".ipynb"):
        return code_of(folder.read(path) or "")
    return (folder.read(path) or "") if path.endswith(".py") else ""


def _parent(path: str) -> str:
    parent = PurePosixPath(path).parent.as_posix()
    return "" if parent == "." else parent


def _roots(script: str) -> tuple[str, ...]:
    """Where modules are searched: beside the script, like Python, then in the usual folders."""
    return tuple(dict.fromkeys((_parent(script), "", "src", "lib")))


def _modules(tree: ast.AST, path: str) -> Iterator[str]:
    """The dotted names that are imported; relative ones from the top folder, with a leading /."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = PurePosixPath(path).parts[: -node.level]
                base = "/" + ".".join([*parts, *filter(None, [base])])
            if base.strip("/"):
                yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if alias.name != "*")


def _files(folder: Folder, root: str, module: str) -> list[str]:
    """The files of a module and of the packages around it; none if it is not in the folder."""
    if module.startswith("/"):
        root, module = "", module[1:]
    parts = module.strip(".").split(".")
    prefix = f"{root}/" if root else ""
    stem = prefix + "/".join(parts)
    own = [file for file in (f"{stem}.py", f"{stem}/__init__.py") if file in folder.known]
    if not own:
        return []
    packages = [prefix + "/".join(parts[:end]) for end in range(1, len(parts))]
    inits = [f"{package}/__init__.py" for package in packages]
    return [*own, *(file for file in inits if file in folder.known)]


def _imports_by_name(tree: ast.AST) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            func = node.func
            name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
            if name in ("import_module", "__import__", "exec", "run_path", "run_module"):
                return True
    return False


def _named_files(folder: Folder, path: str, text: str) -> Iterator[str]:
    """The files that the script names in a string, such as configuration, without data."""
    for constant in read_script(path, text).constants:
        name = constant.removeprefix("./")
        if name in folder.known and not name.endswith(_DATA) and not name.endswith(".py"):
            yield name


def _as_globs(files: list[str]) -> tuple[str, ...]:
    if len(files) <= MOST:
        return tuple(files)
    tops = (PurePosixPath(file).parts for file in files)
    return tuple(dict.fromkeys(parts[0] if len(parts) == 1 else f"{parts[0]}/**" for parts in tops))
