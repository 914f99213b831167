"""Paths in a monorepo: from the root, through links, and in commands and variables."""

import pytest

from specs.globs import admits, admits_link, as_seen, from_root, leads_through, seen_from
from specs.lint.check import check
from specs.loading.problems import Problem

SPEC = """\
apiVersion: headgate.dev/v1
kind: MLPipeline
metadata: {name: churn}
datasets: {rows: {uri: "s3://lake/*.csv", expectations: //suites/rows.yaml}}
environment: {requirements: //requirements.txt}
params: {depth: 3}
steps:
  train:
    run: python train.py {inputs.rows} {params.depth} {outputs.model} WORDS
    inputs: {rows: datasets.rows}
    outputs: {model: model.json}
    reads: [train.py, READ]
    env: {VALUE: "nothing", MORE: "ENV"}
model: steps.train.model
"""
FOLDER = "teams/churn"
FILES = (
    "train.py",
    "lib/own.py",
    "common",
    "rules.json",
    "//src/shared/features.py",
    "//src/other.py",
    "//tools/train.py",
    "//teams/common/x.py",
    "//suites/rows.yaml",
    "//requirements.txt",
)


def problems(
    *, words: str = "", env: str = "nothing", read: str = "//src/shared/**", spec: str = SPEC
) -> list[Problem]:
    """All problems of a spec in `teams/churn` with these words in its command and variable."""
    text = spec.replace("WORDS", words).replace('"ENV"', f"'{env}'").replace("READ", f'"{read}"')
    found = check(text, "ml-pipeline.yaml", FILES, folder=FOLDER, top="/home/ada/mono").problems
    return [one for one in found if one.code not in ("no-gate", "no-release")]


LEADS_OUT = [
    "../../src",
    "../../src/other.py",
    "a:../../src/other.py",
    "lib:../../src/other.py:/usr/lib",
    "--config=../common/x.py",
    "-I../common",
    "@../common/x.py",
    "$PWD/../common",
    "${{PWD}}/../../tools/train.py",
    "..",
    "../common",
    "../../tools/train.py",
    "{root}/tools/train.py",
    "{root}/tools",
    "{root}/src/other.py:{root}/src/shared",
    "sqlite:///{root}/tools/x.db",
    "//tools/train.py",
    "../../../elsewhere",
    "../nowhere",
    "{root}/nowhere",
    "lib:/home/ada/mono/src/shared",
    "--config=/home/ada/mono/teams/churn/lib/own.py",
]
FINE = [
    "../../src/shared",
    "../../src/shared/features.py",
    "{root}/src",
    "{root}/src/shared/features.py",
    "{root}",
    "{root}/teams",
    "{root}/teams/churn/lib",
    "../churn/lib",
    "lib/../train.py",
    "https://example.org/a/../b",
    "s3://lake/../x",
    "/usr/bin/../lib",
    "/opt//x",
    "/home/ada/monolith",
    "//cdn.example.org/x.js",
    "wait .. for it",
    "1..5",
    "...",
    "~/../x",
    "{inputs.rows}/../x",
]


@pytest.mark.parametrize("path", LEADS_OUT)
@pytest.mark.parametrize("where", ["words", "env"])
def test_a_path_to_files_that_are_not_read_is_an_error(where: str, path: str) -> None:
    quoted = f"'{path}'" if where == "words" and " " in path else path
    read = "//src/shared/features.py" if path != "../../src" else "lib/**"
    found = problems(**{where: quoted}, read=read)
    assert [(one.severity, one.code) for one in found] == [("error", "unread-path")], found
    place = "steps.train.run" if where == "words" else "steps.train.env.MORE"
    assert found[0].path == place


@pytest.mark.parametrize("path", ["common", "common/deep", "lib:common", "./rules.json"])
@pytest.mark.parametrize("where", ["words", "env"])
def test_a_file_or_link_in_the_folder_that_is_not_read_is_a_warning(where: str, path: str) -> None:
    name = "rules.json" if "rules" in path else "common"
    (found,) = problems(**{where: path})
    assert (found.severity, found.code) == ("warning", "unread-path")
    assert f"add `{name}` to `steps.train.reads`" in found.message
    assert problems(**{where: path}, read=name) == []


@pytest.mark.parametrize("path", FINE)
@pytest.mark.parametrize("where", ["words", "env"])
def test_other_paths_and_words_are_fine(where: str, path: str) -> None:
    quoted = f"'{path}'" if where == "words" else path
    assert problems(**{where: quoted}) == []


@pytest.mark.parametrize(
    ("path", "read", "words"),
    [
        ("../../src", "lib/**", "add `//src/**` to `steps.train.reads`, and write `{root}/src`"),
        ("../../src/other.py", "lib/**", "add `//src/other.py` to `steps.train.reads`, and write"),
        ("{root}/tools", "lib/**", "add `//tools/**` to `steps.train.reads`"),
        (
            "//tools/train.py",
            "//tools/**",
            "a form that is only for `reads`: write `{root}/tools/train.py`",
        ),
        (
            "/home/ada/mono/src",
            "//src/**",
            "in this clone, which a run does not have: write `{root}/src`",
        ),
        ("../../../x", "lib/**", "leads out of the repository"),
        ("{root}/tools/trian.py", "//tools/**", "leads to //tools/trian.py, which is not in the"),
    ],
)
def test_the_message_says_what_to_write(path: str, read: str, words: str) -> None:
    (found,) = problems(env=path, read=read)
    assert words in found.message
    if "trian" in path:
        assert found.nearest == "{root}/tools/train.py"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("/srv/shared/src", True),
        ("lib:/opt/team", True),
        ("//nowhere", False),
        ("{root}/lib", False),
        ("lib", False),
    ],
)
def test_code_imported_from_the_machine_is_a_warning(value: str, told: bool) -> None:
    spec = SPEC.replace("env: {VALUE", f'env: {{PYTHONPATH: "{value}", VALUE')
    spec = spec.replace("{root}/lib", "{root}/teams/churn/lib")
    assert [one.code for one in problems(spec=spec)] == ["machine-path"] * told
    inside = spec.replace("requirements: //requirements.txt", "image: python:3.12")
    assert "machine-path" not in [one.code for one in problems(spec=inside)]


def test_the_column_is_that_of_the_path() -> None:
    (found,) = problems(env="lib:../../tools")
    line = SPEC.replace("READ", '"//src/shared/**"').splitlines()[found.line - 1]
    assert "env:" in line
    assert found.column == line.index('"ENV"') + len("'lib:") + 1


def test_without_reads_the_triggers_paths_have_to_match() -> None:
    without = SPEC.replace("    reads: [train.py, READ]\n", "")
    (found,) = problems(env="../../src", spec=without)
    assert "add `//src/**` to `triggers.commits.paths`, or list" in found.message
    admitted = without + 'triggers: {commits: {paths: ["**", "//src/**"]}}\n'
    assert problems(env="{root}/src", spec=admitted) == []


def test_paths_in_an_inline_script_are_checked_if_they_exist() -> None:
    (found,) = problems(words='-c "cd ../../tools && ./x"')
    assert "../../tools" in found.message
    assert problems(words="-c \"cd ../.cache; echo 'a/../b' ..\"") == []


def test_a_model_server_follows_the_same_rules() -> None:
    serve = (
        "release: {serve: {run: 'python serve.py {model} {port}', reads: [lib/**], "
        "env: {PYTHONPATH: ../../src}}}\n"
    )
    found = [one for one in problems(spec=SPEC + serve) if one.code == "unread-path"]
    assert [one.path for one in found] == ["release.serve.env.PYTHONPATH"]


# -- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("//suites/rows.yaml", "//suites/row.yaml", "datasets.rows.expectations"),
        ("//requirements.txt", "//requirement.txt", "environment.requirements"),
        ("{requirements: //requirements.txt}", "{build: //docker}", "environment.build"),
        ("READ", "//srcc/**", "steps.train.reads[1]"),
        ("READ", "lib/none.py", "steps.train.reads[1]"),
    ],
)
def test_files_from_the_root_have_to_exist(old: str, new: str, path: str) -> None:
    found = problems(spec=SPEC.replace(old, new))
    assert [(one.code, one.path) for one in found] == [("missing-file", path)]


@pytest.mark.parametrize(
    "path", ["//", "///x", "//../x", "//a//b", "//./x", "//a\\b", "!//", "/x", "a//b"]
)
def test_an_invalid_path_from_the_root_is_an_error(path: str) -> None:
    found = problems(read=path)
    assert [one.code for one in found] == ["wrong-value"]
    assert "//path starts at the repository's root" in str(found[0])


@pytest.mark.parametrize(
    ("uri", "fine"),
    [
        ("//data/*.csv", True),
        ("//teams/other/data", True),
        ("//teams/churn/data/*.csv", False),
        ("//teams/*/data.csv", False),
        ("//teams", False),
        ("//**", False),
    ],
)
def test_data_has_only_one_address(uri: str, fine: bool) -> None:
    found = problems(spec=SPEC.replace("s3://lake/*.csv", uri))
    assert [one.code for one in found] == ([] if fine else ["roundabout"])


def test_a_path_in_the_repository_has_one_form() -> None:
    for folder, path, seen in (
        ("", "src/a.py", "src/a.py"),
        ("teams/churn", "teams/churn/a.py", "a.py"),
        ("teams/churn", "teams/churner/a.py", "//teams/churner/a.py"),
        ("teams/churn", "src/a.py", "//src/a.py"),
    ):
        assert seen_from(folder, path) == seen
        assert from_root(seen, folder) == path
    assert as_seen("!//teams/churn/a.py", "teams/churn") == "!a.py"
    assert as_seen("//src/*.py", "") == "src/*.py"


@pytest.mark.parametrize(
    ("globs", "path", "expected"),
    [
        (["**"], "//src/a.py", False),
        (["//src/**"], "//src/a.py", True),
        (["//src/**"], "src/a.py", False),
        (["//**"], "a.py", True),
        (["//teams/churn/*.py"], "a.py", True),
        (["//teams/*/a.py"], "a.py", True),
        (["//**", "!//src/*.py"], "//src/a.py", False),
        (["//**", "!*.py"], "//src/a.py", True),
        (["//src/", "!//src/**/*.md"], "//src/x/a.md", False),
        (["//src/[ab].py"], "//src/a.py", True),
    ],
)
def test_globs_from_the_root_and_from_the_folder_match_different_files(
    globs: list[str], path: str, expected: bool
) -> None:
    assert admits(globs, path, "teams/churn") is expected


@pytest.mark.parametrize(
    ("globs", "expected"),
    [
        (["shared"], True),
        (["**"], True),
        (["shared/**"], True),
        (["shared/"], True),
        (["shared/features.py"], True),
        (["sha*/x/**/*.py"], True),
        (["//teams/churn/shared/x.py"], True),
        (["**/*.py"], False),
        (["other/**"], False),
        (["**", "!shared/**"], False),
        (["**", "!shared/"], False),
        (["**", "!shared/tests/**"], True),
        (["!shared", "shared/x.py"], True),
    ],
)
def test_a_link_is_read_by_globs_that_match_it_or_lead_through_it(
    globs: list[str], expected: bool
) -> None:
    assert admits_link(globs, "shared", "teams/churn") is expected


def test_a_glob_leads_through_a_link_only_by_name() -> None:
    assert leads_through("shared/x.py", "shared")
    assert not leads_through("shared", "shared")
    assert not leads_through("**", "shared")


# -- variables ------------------------------------------------------------------------------------


def test_a_name_that_only_a_variable_uses_is_used() -> None:
    spec = SPEC.replace(" {inputs.rows} {params.depth} {outputs.model}", "")
    found = {one.path for one in problems(spec=spec)}
    assert found == {"params.depth", "steps.train.inputs.rows", "steps.train.outputs.model"}
    every = "{inputs.rows}:{outputs.model}:{params.depth}"
    assert problems(spec=spec, env=every) == []


@pytest.mark.parametrize(
    ("value", "code", "words"),
    [
        ("{inputs.row}", "unknown-placeholder", "unknown placeholder {inputs.row}"),
        ("x {params.width}", "unknown-placeholder", "unknown placeholder {params.width}"),
        ("{port}", "unknown-placeholder", "unknown placeholder {port}"),
        ("{depth}", "env", "{depth} is not a placeholder"),
        ('{"depth": "{params.depth}"}', "env", "write {{ for it"),
    ],
)
def test_a_wrong_placeholder_in_a_variable_is_an_error(value: str, code: str, words: str) -> None:
    (found,) = problems(env=value)
    assert (found.code, found.path) == (code, "steps.train.env.MORE")
    assert words in found.message


@pytest.mark.parametrize(
    "value",
    ['{"a": 1}', '{"a": {"b": [1, 2]}}', "${HOME}/x", "{{x}}", "{", "a}b", "%(levelname)s {}", ""],
)
def test_literal_braces_are_left_alone(value: str) -> None:
    assert problems(env=value) == []
