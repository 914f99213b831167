"""The parts of an environment, and problems with its files, before anything is built."""

import tomllib
from typing import Any

import pytest

from specs.projects.poetry import as_requirements
from tests.specs.projects.shapes import (
    FILES,
    LOCK,
    MANIFEST,
    POETRY,
    POETRY_MANIFEST,
    edited,
    look,
)

POETRY_FILES = {"pyproject.toml": POETRY_MANIFEST, "poetry.lock": POETRY}
VERSION = 'version = "2.2.3"\nsource ='
PANDAS = f'{VERSION} {{ registry = "https://index.example.org/simple" }}'


def test_a_project_is_its_lock_and_the_sources_of_its_packages() -> None:
    found = look(FILES)
    assert found.problems == ()
    assert found.project is not None
    assert (found.project.lock, found.project.kind) == ("uv.lock", "uv")
    (shared,) = found.project.packages
    assert shared.files == ("libs/shared/src/shared/__init__.py",), "no tests, no README"


def test_settings_that_do_not_affect_the_build_do_not_change_a_package() -> None:
    def about(*changes: tuple[str, str]) -> str:
        found = look(edited(FILES, "libs/shared/pyproject.toml", *changes)).project
        assert found is not None
        return found.packages[0].about

    assert about(("line-length = 100", "line-length = 88")) == about()
    assert about(('name = "shared"', '# a word\nname = "shared"')) == about()
    assert about(('version = "1"', 'version = "2"')) != about()


@pytest.mark.parametrize(
    ("tables", "files", "covered"),
    [
        ("", ["shared/__init__.py", "other/__init__.py", "run.py"], ["shared/__init__.py"]),
        ("", ["shared.py", "run.py", "setup.py"], ["setup.py", "shared.py"]),
        ("", ["pkg/__init__.py", "tests/__init__.py", "notes/a.md"], ["pkg/__init__.py"]),
        ("", ["src/a/b.py", "data/x.csv", "LICENSE"], ["LICENSE", "src/a/b.py"]),
        (
            '[tool.setuptools.packages.find]\nwhere = ["lib"]',
            ["lib/a.py", "lab/a.py"],
            ["lib/a.py"],
        ),
        (
            '[tool.hatch.build.targets.wheel]\npackages = ["python/shared"]',
            ["python/shared/x.py", "python/tests/x.py"],
            ["python/shared/x.py"],
        ),
        (
            '[tool.poetry]\npackages = [{include = "mine", from = "code"}]',
            ["code/mine/x.py", "mine.py"],
            ["code/mine/x.py"],
        ),
    ],
)
def test_the_sources_of_a_package_are_found_in_any_layout(
    tables: str, files: list[str], covered: list[str]
) -> None:
    own = {f"libs/shared/{name}": "" for name in files}
    kept = {name: text for name, text in FILES.items() if not name.startswith("libs/shared/src")}
    text = f"{FILES['libs/shared/pyproject.toml']}\n{tables}\n"
    found = look({**kept, **own, "libs/shared/pyproject.toml": text}).project
    assert found is not None
    assert found.packages[0].files == tuple(f"libs/shared/{name}" for name in covered)


def test_a_workspace_member_uses_the_lock_above_it() -> None:
    moved = {f"apps/train/{name}": text for name, text in FILES.items() if name == "pyproject.toml"}
    lock = LOCK.replace('virtual = "."', 'virtual = "apps/train"')
    files = {**FILES, **moved, "pyproject.toml": "[tool.uv.workspace]\nmembers = ['apps/*']\n"}
    found = look({**files, "uv.lock": lock}, folder="apps/train")
    assert found.problems == ()
    assert found.project is not None
    assert found.project.manifests == ("apps/train/pyproject.toml", "pyproject.toml")
    assert look({**files, "uv.lock": lock}, project="//apps/train").project == found.project


def test_only_the_chosen_groups_and_extras_are_installed() -> None:
    named = "trainer-tools"
    lock = LOCK + (
        f'\n[[package]]\nname = "{named}"\nversion = "1"\nsource = {{ editable = "tools" }}\n'
    )
    lock = lock.replace('train = [{ name = "tqdm" }]', f'train = [{{ name = "{named}" }}]')
    files = {**FILES, "uv.lock": lock, "tools/pyproject.toml": "", "tools/src/t.py": ""}
    files = edited(
        files, "uv.lock", ('"tqdm", specifier = ">=4"', f'"{named}", editable = "tools"')
    )
    files = edited(files, "pyproject.toml", ('"tqdm>=4"', f'"{named}"'))
    bare, chosen = look(files), look(files, project=".", groups=["train"])
    assert bare.project is not None
    assert chosen.project is not None
    assert [one.folder for one in bare.project.packages] == ["libs/shared"]
    assert [one.folder for one in chosen.project.packages] == ["libs/shared", "tools"]
    assert chosen.problems == ()


WRONG: dict[str, tuple[dict[str, str], dict[str, Any], str, str]] = {
    "no project": ({"train.py": ""}, {}, "missing-file", "there is no pyproject.toml"),
    "no lock": ({"pyproject.toml": MANIFEST}, {}, "no-lock", "run `uv lock`"),
    "another folder": (FILES, {"project": "app"}, "missing-file", "in app"),
    "two environments": (
        {**FILES, "r.txt": ""},
        {"project": ".", "requirements": "r.txt"},
        "two-environments",
        "exclude each other",
    ),
    "groups of nothing": (FILES, {"groups": ["train"]}, "no-effect", "there is none"),
    "an unknown group": (
        FILES,
        {"project": ".", "groups": ["trian"]},
        "unknown-reference",
        "trian",
    ),
    "an unknown extra": (FILES, {"project": ".", "extras": ["gpus"]}, "unknown-reference", "gpu"),
    "another format": (
        edited(FILES, "uv.lock", ("version = 1", "version = 9")),
        {},
        "lock-version",
        "version 9",
    ),
    "a newer wish": (
        edited(FILES, "pyproject.toml", ("pandas>=2", "pandas>=3")),
        {},
        "stale-lock",
        "pandas>=3",
    ),
    "a new dependency": (
        edited(FILES, "pyproject.toml", ('"shared"', '"shared", "polars"')),
        {},
        "stale-lock",
        "polars: run `uv lock`",
    ),
    "one dependency less": (
        edited(FILES, "pyproject.toml", (', "pandas>=2"', "")),
        {},
        "stale-lock",
        "differs in pandas",
    ),
    "a group that changed": (
        edited(FILES, "pyproject.toml", ("tqdm>=4", "tqdm>=5")),
        {"project": ".", "groups": ["train"]},
        "stale-lock",
        "tqdm>=5",
    ),
    "the wrong Python": (FILES, {"project": ".", "python": "3.10"}, "python", ">=3.11"),
    "a path that leaves": (
        edited(
            FILES, "uv.lock", ('editable = "libs/shared" }\ndep', 'editable = "../shared" }\ndep')
        ),
        {},
        "outside",
        "../shared, outside this repository",
    ),
    "an index with a password": (
        edited(
            FILES,
            "uv.lock",
            ("https://index.example.org/simple", "https://ada:hush@index.org/simple"),
        ),
        {"project": ".", "extras": ["gpu"]},
        "credentials",
        "https://index.org/simple has a password",
    ),
    "an index of pyproject with a token": (
        {
            **FILES,
            "pyproject.toml": f'{MANIFEST}\n[[tool.uv.index]]\nurl = "https://t0k@i.org/s"\n',
        },
        {},
        "credentials",
        "https://i.org/s",
    ),
    "no TOML": ({**FILES, "uv.lock": "version = 1\n]"}, {}, "environment", "uv.lock is not TOML"),
    "a lock of another form": (
        {**FILES, "uv.lock": "version = 1\npackage = 7"},
        {},
        "environment",
        "does not follow its format version",
    ),
    "a conflict": (
        {**FILES, "uv.lock": "a = 1\n<<<<<<< HEAD\nb = 1\n=======\nb = 2\n>>>>>>> x\n"},
        {},
        "environment",
        "lines 2 to 6",
    ),
    "a package that is gone": (
        {k: v for k, v in FILES.items() if not k.startswith("libs")},
        {},
        "missing-file",
        "libs/shared",
    ),
    "an old Poetry": (
        edited(POETRY_FILES, "poetry.lock", ('lock-version = "2.1"', 'lock-version = "2.0"')),
        {},
        "lock-version",
        "Poetry 2",
    ),
    "a stale poetry.lock": (
        edited(POETRY_FILES, "pyproject.toml", ("iniconfig>=2", "iniconfig>=3")),
        {},
        "stale-lock",
        "`poetry lock`",
    ),
    "a poetry.lock that lacks a name": (
        edited(POETRY_FILES, "pyproject.toml", ('packaging = "^24"', 'polars = "*"')),
        {"project": ".", "groups": ["train"]},
        "stale-lock",
        "polars",
    ),
    "an unknown group of Poetry": (
        POETRY_FILES,
        {"project": ".", "groups": ["training"]},
        "unknown-reference",
        "train",
    ),
    "a pylock of the future": (
        {"pylock.toml": 'lock-version = "2.0"'},
        {},
        "lock-version",
        "2.0",
    ),
    "a group that a pylock lacks": (
        {"pylock.toml": 'lock-version = "1.0"\npackages = []'},
        {"project": ".", "groups": ["train"]},
        "unknown-reference",
        "nor any other groups",
    ),
    "a file that a pylock lacks": (
        {
            "pylock.toml": 'lock-version = "1.0"\n[[packages]]\nname = "x"\n'
            'archive = {path = "wheels/x.whl", hashes = {sha256 = "aa"}}'
        },
        {},
        "missing-file",
        "wheels/x.whl",
    ),
    "a conda file that is none": ({"environment.yml": "- a\n"}, {}, "environment", "dependencies"),
    "extras of conda": (
        {"environment.yml": "dependencies: [python=3.12.1]\n"},
        {"project": ".", "extras": ["gpu"]},
        "unknown-reference",
        "nor any other extras",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_problem_with_an_environment_is_reported_before_it_is_built(name: str) -> None:
    files, asked, code, words = WRONG[name]
    problems = look(files, **asked).problems
    assert [one.code for one in problems if one.is_error] == [code], problems
    assert words in f"{problems[0].message} {problems[0].nearest}"
    assert "hush" not in str(problems)
    assert "t0k" not in str(problems)


DOUBTFUL = {
    "git": (
        edited(
            FILES,
            "uv.lock",
            (PANDAS, 'version = "2.2.3"\nsource = { git = "https://g.org/p?rev=x#abc" }'),
        ),
        "pandas comes from git",
    ),
    "a url without a hash": (
        edited(
            FILES,
            "uv.lock",
            (PANDAS, 'version = "2.2.3"\nsource = { url = "https://g.org/p.whl" }'),
        ),
        "without a hash",
    ),
    "conda without versions": (
        {"environment.yml": "dependencies: [python=3.12.1, pandas, 'numpy>=2', {pip: [tqdm]}]\n"},
        "does not pin pandas, numpy>=2, tqdm",
    ),
}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_a_build_that_may_differ_next_time_is_a_warning(name: str) -> None:
    files, words = DOUBTFUL[name]
    found = look(files)
    assert not any(one.is_error for one in found.problems)
    assert words in " ".join(one.message for one in found.problems)
    assert found.project is not None


def test_the_controllers_python_is_the_default_and_only_a_warning_here() -> None:
    (one,) = look(FILES, own_python="3.9.1").problems
    assert (one.code, one.is_error, one.elsewhere) == ("python", False, True)
    assert "without `environment.python`" in one.message
    assert look(FILES, own_python="3.12.1").problems == ()


def test_a_poetry_lock_converts_to_pinned_requirements_with_hashes_and_markers() -> None:
    lock = tomllib.loads(POETRY)
    assert look(POETRY_FILES, project=".", groups=["train"], extras=["gpu"]).problems == ()
    assert as_requirements(lock, ["train"], ["gpu"]) == (
        "iniconfig==2.3.1 --hash=sha256:aa --hash=sha256:bb\n"
        "packaging==24.2 --hash=sha256:cc\n"
        'pluggy==1.7.0 ; python_version >= "0" --hash=sha256:dd\n'
        'six==1.17.0 ; (sys_platform == "win32") --hash=sha256:ee\n'
    )
    assert 'pluggy==1.7.0 ; python_version < "0"' in as_requirements(lock, [], [])


def test_the_only_index_of_a_poetry_lock_replaces_the_public_one() -> None:
    source = '\n[package.source]\ntype = "legacy"\nurl = "https://i.org/simple"\nreference = "i"\n'
    name = '[[package]]\nname = "a"\nversion = "1"\ngroups = ["main"]\n'
    assert as_requirements(tomllib.loads(name + source), [], []).splitlines() == [
        "--index-url https://i.org/simple",
        "a==1",
    ]
    both = tomllib.loads(name + source + name.replace('"a"', '"b"'))
    assert as_requirements(both, [], []).startswith("--extra-index-url https://i.org/simple\n")


LINES = [
    ("pandas", "pandas is not pinned", False),
    ("pandas>=2  # why", "pandas is not pinned", False),
    ("pandas==2.*", "pandas is not pinned", False),
    ("pandas==2.2.3", None, False),
    ("pandas[all]==2.2.3 ; python_version > '3.8'", None, False),
    ("pandas \\\n    --hash=sha256:aa", None, False),
    ("pandas>=2 --hash=sha256:aa", None, False),
    ("x @ https://h.org/x.whl", "without a hash", False),
    ("x @ https://h.org/x.whl#sha256=aa", None, False),
    ("x @ git+https://h.org/x@main", "without a hash", False),
    (f"x @ git+https://h.org/x@{'a' * 40}", None, False),
    ("-e git+https://h.org/x#egg=x", "not pinned", False),
    ("-e .", "environment: {project: .}", True),
    ("./pkg", "does not have `./pkg`", True),
    ("pkg[all] ; python_version > '3.8'", "pkg is not pinned", False),
    ("../lib/pkg-1-py3-none-any.whl", "environment: {project: .}", True),
    ("libs/pkg", "does not have `libs/pkg`", True),
    ("${HOME}/pkg", "does not have `${HOME}/pkg`", True),
    ("pkg-1.tar.gz --hash=sha256:aa", "does not have `pkg-1.tar.gz`", True),
    ("/srv/pkg", "`/srv/pkg` is on the controller's machine", False),
    ("x @ ../x", "does not have `../x`", True),
    ("x @ file:../x", "does not have `../x`", True),
    ("x @ file:///srv/x", "without a hash", False),
    ("--find-links wheels", "names a path", True),
    ("-f https://h.org/wheels", None, False),
    ("./libs/shared", "environment: {project: .}", True),
    ("../shared", "environment: {project: .}", True),
    ("libs/shared", "environment: {project: .}", True),
    ("dist/x-1.0-py3-none-any.whl", "environment: {project: .}", True),
    ("x-1.0-py3-none-any.whl", "environment: {project: .}", True),
    ("x @ ./libs/x", "environment: {project: .}", True),
    ("pandas=2.2", "`pandas=2.2` is not a requirement", True),
    ("pandas >= 2.*", "is not a requirement", True),
    ("pandas==2.2 ; python_version < '3.12", "is not a requirement", True),
    ("pandas 2.2", "is not a requirement", True),
    ("pandas==2.2;", "is not a requirement", True),
    ("pandas==2.2; --hash=sha256:aa", "is not a requirement", True),
    ("https://h.org/x-1.0.whl --hash=sha256:aa", None, False),
    ("-r base.txt", "copy its lines here", True),
    ("--index-url https://i.org/simple", None, False),
    (
        "--extra-index-url https://ada:hush@i.org/simple",
        "https://i.org/simple has a password",
        True,
    ),
    ("--extra-index-url https://${U}:${P}@i.org/simple", None, False),
    ("<<<<<<< HEAD\na==1\n=======\na==2\n>>>>>>> b", "merge conflict", True),
]


@pytest.mark.parametrize(("line", "words", "is_error"), LINES)
def test_a_problem_in_a_requirements_line_is_reported_with_its_number(
    line: str, words: str | None, is_error: bool
) -> None:
    files = {"requirements.txt": f"# first\nnumpy==2.0\n{line}\n"}
    lines = look(files, requirements="requirements.txt").lines
    if words is None:
        assert lines == ()
        return
    ((number, message, error, _),) = lines
    assert (number, error) == (3, is_error)
    assert words in message
    assert "hush" not in message


def test_a_byte_order_mark_is_not_part_of_the_first_name() -> None:
    files = {"requirements.txt": "\ufeffpandas==2.2.3\n"}
    assert look(files, requirements="requirements.txt").lines == ()


def test_a_requirements_file_that_is_not_utf_8_is_an_error() -> None:
    """PowerShell's `pip freeze > requirements.txt` writes UTF-16."""
    files = {"requirements.txt": None}
    ((number, message, error, _),) = look(files, requirements="requirements.txt").lines
    assert (number, error) == (1, True)
    assert "save it as UTF-8" in message


def test_only_the_first_unpinned_lines_are_listed() -> None:
    text = "".join(f"package{number}\n" for number in range(14))
    lines = look({"requirements.in": text}, requirements="requirements.in").lines
    assert len(lines) == 11
    assert lines[-1].message == "4 more lines of requirements.in are not pinned"
    assert "`uv pip compile" in lines[0].message
