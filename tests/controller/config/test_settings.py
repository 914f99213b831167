"""Settings: told like a spec, the environment over the file, secrets kept apart."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from controller.config.settings import Settings
from controller.config.settings_file import (
    exposed,
    load_secrets,
    load_settings,
    settings_schema,
    unknown_variables,
    variables,
)
from specs.failures import NeedsHuman

SMALLEST = "repositories: [{name: flights, url: flights.git}]\n"
DOCUMENT = Path(__file__).parents[3] / "docs" / "settings.md"


def load(text: str, **environ: str) -> Settings:
    loaded = load_settings(text, "headgate.yaml", environ)
    assert loaded.settings is not None, loaded.problems
    return loaded.settings


def problems(text: str, **environ: str) -> list[tuple[int, int, str, str | None]]:
    loaded = load_settings(text, "headgate.yaml", environ)
    assert loaded.settings is None
    return [(p.line, p.column, p.code, p.nearest) for p in loaded.problems]


def test_a_repository_is_all_that_has_to_be_said() -> None:
    settings = load(SMALLEST)
    assert settings.slots == 2
    assert settings.path(Path("/base")) == Path("/base/.headgate")


def test_all_mistakes_are_told_at_once_with_their_places_and_nearest_names() -> None:
    text = (
        "hom: x\n"
        "repositories:\n"
        "  - {name: A b, url: x, pol: 3}\n"
        "ports: {flight/live: 12}\n"
        "slots: many\n"
        "notify: [{to: json://x, on: [rolback]}]\n"
    )
    assert problems(text) == [
        (1, 1, "unknown-key", "home"),
        (3, 12, "wrong-value", "a-b"),
        (3, 25, "unknown-key", "poll"),
        (4, 9, "name", None),
        (5, 8, "wrong-type", None),
        (6, 30, "wrong-value", "rollback"),
    ]


def test_the_same_name_twice_is_a_mistake() -> None:
    text = "repositories: [{name: a, url: x}, {name: a, url: y}]"
    assert [code for _, _, code, _ in problems(text)] == ["duplicate", "duplicate"]


@pytest.mark.parametrize(
    "text", ["", "- a", "a: b: c", "x: &x [*x]", "\x00", "slots: !!python/x 1"]
)
def test_what_is_no_mapping_is_told_and_not_raised(text: str) -> None:
    assert problems(text)


def test_the_environment_comes_over_the_file() -> None:
    text = SMALLEST + "slots: 3\nlog: {format: json, level: warning}\n"
    settings = load(text, HEADGATE_SLOTS="7", HEADGATE_LOG_LEVEL="debug", HEADGATE_HOME="12")
    assert (settings.slots, settings.home) == (7, "12")
    assert (settings.log.format, settings.log.level) == ("json", "debug")


def test_a_wrong_variable_is_named_and_not_blamed_on_the_file() -> None:
    loaded = load_settings(SMALLEST, "headgate.yaml", {"HEADGATE_BUCKET_POLL": "7"})
    (problem,) = loaded.problems
    assert problem.file == "environment"
    assert "HEADGATE_BUCKET_POLL" in problem.message
    assert problem.expected is not None
    assert "30s" in problem.expected


def test_what_nobody_needs_is_kept_for_an_hour_at_least() -> None:
    text = "repositories: [{name: a, url: a.git}]\n"
    assert load_settings(f"{text}keep: 1h\n", "headgate.yaml").settings is not None
    (problem,) = load_settings(f"{text}keep: 30m\n", "headgate.yaml").problems
    assert (problem.line, problem.path, problem.expected) == (2, "keep", "at least 1 hour")
    (problem,) = load_settings(text, "headgate.yaml", {"HEADGATE_KEEP": "2m"}).problems
    assert "HEADGATE_KEEP" in problem.message
    assert problem.found == "'2m'"


def test_a_variable_that_is_no_setting_is_noticed() -> None:
    environ = {"HEADGATE_SLOT": "1", "HEADGATE_SECRET_X": "", "HEADGATE_DEBUG": "1", "PATH": ""}
    assert list(unknown_variables(environ)) == [("HEADGATE_SLOT", "HEADGATE_SLOTS")]


def leaves(schema: dict[str, Any], part: dict[str, Any], path: str) -> Iterator[tuple[str, bool]]:
    """Every setting and whether it has a description."""
    for choice in (part, *part.get("anyOf", ()), *part.get("allOf", ())):
        if "$ref" in choice:
            yield from leaves(schema, schema["$defs"][choice["$ref"].rpartition("/")[2]], path)
        if "items" in choice:
            yield from leaves(schema, choice["items"], path)
        for name, inner in choice.get("properties", {}).items():
            yield f"{path}{name}", "description" in inner
            yield from leaves(schema, inner, f"{path}{name}.")


def test_every_setting_is_documented() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([a-z_.]+)` \|", text, re.MULTILINE))
    found = dict(leaves(settings_schema(), settings_schema(), ""))
    assert all(found.values()), found
    sections = {
        "log",
        "router",
        "docker",
        "kubernetes",
        "kubernetes.serving",
        "kubernetes.serving.router",
        "kubernetes.serving.kserve",
        "github",
        "github.app",
        "github.webhook",
        "http",
        "tracing",
    }
    parents = {name.rpartition(".")[0] for name in found} & sections
    assert set(found) - parents == documented
    assert set(variables()) <= set(re.findall(r"`(HEADGATE_[A-Z_]+)`", text))


def test_what_a_change_of_each_setting_does_is_documented() -> None:
    section = DOCUMENT.read_text(encoding="utf-8").partition("## When settings change")[2]
    rows = re.findall(r"^\| (`.+?) \|", section.partition("\n## ")[0], re.MULTILINE)
    told = [pattern for row in rows for pattern in re.findall(r"`([^`]+)`", row)]
    found = dict(leaves(settings_schema(), settings_schema(), ""))
    groups = {name.rpartition(".")[0] for name in found}
    single = set(found) - groups
    assert not [one for one in single if not any(fnmatch(one, pattern) for pattern in told)]
    assert not [pattern for pattern in told if not any(fnmatch(one, pattern) for one in single)]


def test_the_documents_example_loads() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    example = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert example is not None
    assert load(example[1]).slots == 2


def test_a_github_app_is_set_by_variables_too() -> None:
    settings = load(
        SMALLEST,
        HEADGATE_GITHUB_APP_ID="12",
        HEADGATE_GITHUB_APP_PRIVATE_KEY="APP_KEY",
        HEADGATE_GITHUB_WEBHOOK_PORT="9000",
    )
    assert (settings.github.app.id, settings.github.app.private_key) == (12, "APP_KEY")
    assert settings.github.webhook.port == 9000


def test_a_setting_that_may_be_left_out_is_set_by_a_variable_too() -> None:
    settings = load(SMALLEST, HEADGATE_HTTP_PORT="9464", HEADGATE_KUBERNETES_NETWORK_POLICY="false")
    assert settings.http.port == 9464
    assert settings.kubernetes.network_policy is False
    (problem,) = load_settings(SMALLEST, "f.yaml", {"HEADGATE_HTTP_PORT": "http"}).problems
    assert (problem.file, problem.found) == ("environment", "'http'")


@pytest.mark.parametrize(
    "github", ["{app: {id: 1}}", "{app: {id: 1, private_key: KEY}, token: TOKEN}"]
)
def test_half_an_app_and_an_app_with_a_token_are_mistakes(github: str) -> None:
    assert problems(f"{SMALLEST}github: {github}\n")


def warnings(text: str) -> list[tuple[str, str]]:
    loaded = load_settings(text, "headgate.yaml", {})
    assert loaded.settings is not None, loaded.problems
    assert {problem.severity for problem in loaded.problems} <= {"warning"}
    assert all(problem.expected for problem in loaded.problems), "each names the mend"
    return [(problem.path, problem.message) for problem in loaded.problems]


ON_GITHUB = "{name: flights, url: git@github.com:octo/flights.git%s}"


@pytest.mark.parametrize(
    ("repositories", "more", "path", "says"),
    [
        ("{name: a, url: a.git}", "http: {host: 0.0.0.0}", "http", "without `http.port`"),
        (
            "{name: a, url: a.git}",
            "ports: {late/production: 9464}\nhttp: {port: 9464}",
            "ports.late/production",
            "the same port, 9464",
        ),
        (
            ON_GITHUB % "",
            "github: {token: T, webhook: {secret: HOOK, port: 9464}}\nhttp: {port: 9464}",
            "http.port",
            "the same port, 9464",
        ),
        (ON_GITHUB % "", "github: {webhook: {secret: HOOK}}", "github.webhook", "not received"),
        (ON_GITHUB % ", github: a/b", "", "repositories.0.github", "nothing is reported to a/b"),
        (ON_GITHUB % "", "notify: [{to: github-issue}]", "notify.0.to", "no issue"),
        ("{name: a, url: a.git}", "github: {token: T}", "github", "no repository is on"),
        (
            ON_GITHUB % "",
            "github: {token: T, webhook: {port: 8090}}",
            "github.webhook",
            "webhooks are not received without",
        ),
        (
            ON_GITHUB % "",
            "ports: {late/production: 8090}\ngithub: {token: T, webhook: {secret: HOOK}}",
            "ports.late/production",
            "the same port, 8090",
        ),
        (
            f"{ON_GITHUB % ''}, {{name: b, url: 'git@github-work:octo/b.git'}}",
            "github: {token: T}",
            "repositories.1.url",
            "does not tell its name on GitHub",
        ),
        (
            f"{ON_GITHUB % ''}, {{name: b, url: b.git, notes: true}}",
            "github: {token: T}",
            "repositories.1.notes",
            "has no effect",
        ),
    ],
)
def test_settings_of_github_without_effect_are_warnings(
    repositories: str, more: str, path: str, says: str
) -> None:
    ((place, message),) = warnings(f"repositories: [{repositories}]\n{more}\n")
    assert place == path
    assert says in message


def test_a_repository_of_github_that_is_watched_twice_is_a_warning_at_both() -> None:
    twice = f"{ON_GITHUB % ''}, {{name: b, url: b.git, github: Octo/Flights}}"
    found = warnings(f"repositories: [{twice}]\ngithub: {{token: T}}\n")
    assert [path for path, _ in found] == ["repositories.0", "repositories.1"]


def test_good_settings_of_github_have_no_warning() -> None:
    github = "github: {app: {id: 1, private_key: KEY}, webhook: {secret: HOOK}}"
    beside = f"{ON_GITHUB % ''}, {{name: b, url: b.git}}"
    assert warnings(f"repositories: [{beside}]\n{github}\n") == []
    assert warnings(f"repositories: [{beside}]\n") == []


def secrets(tmp_path: Path, text: str, **environ: str) -> tuple[str, ...]:
    (tmp_path / "secrets.env").write_text(text)
    settings = load(SMALLEST + "secrets: secrets.env\n")
    return load_secrets(settings, tmp_path, environ).values


def test_secrets_come_from_the_file_and_over_it_from_the_environment(tmp_path: Path) -> None:
    text = "# mine\n\nTOKEN=from the file=1\nURL = x\n"
    assert secrets(tmp_path, text) == ("from the file=1", "x")
    assert secrets(tmp_path, text, HEADGATE_SECRET_TOKEN="e") == ("e", "x")


def test_a_line_that_is_no_secret_is_told_by_its_number_and_not_shown(tmp_path: Path) -> None:
    with pytest.raises(NeedsHuman, match=r"secrets\.env:2: expected NAME=value") as caught:
        secrets(tmp_path, "A=1\nhunter2\n")
    assert "hunter2" not in str(caught.value)


def test_a_file_of_secrets_that_is_gone_is_told_with_the_mend(tmp_path: Path) -> None:
    settings = load(SMALLEST + "secrets: gone.env\n")
    with pytest.raises(NeedsHuman, match="correct `secrets`"):
        load_secrets(settings, tmp_path, {})


def test_others_who_can_read_secrets_are_noticed(tmp_path: Path) -> None:
    file = tmp_path / "secrets.env"
    file.touch(0o600)
    assert not exposed(file)
    file.chmod(0o640)
    assert exposed(file)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("remote.git", "/base/remote.git"),
        ("../up.git", "/up.git"),
        ("/abs.git", "/abs.git"),
        ("https://example.org/x.git", "https://example.org/x.git"),
        ("git@example.org:x.git", "git@example.org:x.git"),
    ],
)
def test_a_plain_path_is_relative_to_the_settings(url: str, address: str) -> None:
    (repository,) = load(f"repositories: [{{name: a, url: {url}}}]").repositories
    assert repository.address(Path("/base")) == address
