"""PURE. Warnings about settings that are valid but have no effect, or contradict each other."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from controller.config.settings import Settings
from specs.base import GITHUB_ISSUE


class SettingsWarning(NamedTuple):
    """A combination of settings that is probably a mistake."""

    path: tuple[str | int, ...]
    code: str
    message: str
    fix: str


def suspicious_settings(settings: Settings, names: Mapping[str, str]) -> Iterator[SettingsWarning]:
    """Every warning. `names` has the `owner/name` on GitHub of each repository that is there."""
    yield from _http(settings)
    github = settings.github
    if github.app.id is None and github.token is None:
        yield from _without_account(settings)
        return
    if not names:
        message = f"no repository is on {github.url}, so nothing is reported there"
        fix = "`github: OWNER/NAME` at the repository, or another `github.url`"
        yield SettingsWarning(("github",), "useless", message, fix)
    yield from _webhook(settings)
    if len(names) > 0:
        yield from _repositories(settings, names)


def _http(settings: Settings) -> Iterator[SettingsWarning]:
    port, fix = settings.http.port, "another port for one of them"
    if port is None and settings.http.model_fields_set:
        message = "neither probes nor metrics are served without `http.port`"
        yield SettingsWarning(("http",), "useless", message, "`http.port`, such as 9464")
    if port is None:
        return
    webhook = settings.github.webhook
    if webhook.secret is not None and webhook.port == port:
        message = f"webhooks and metrics are configured to use the same port, {port}"
        yield SettingsWarning(("http", "port"), "contradiction", message, fix)
    for place, other in settings.ports.items():
        if other == port:
            message = f"metrics and {place} are configured to use the same port, {port}"
            yield SettingsWarning(("ports", place), "contradiction", message, fix)


def _without_account(settings: Settings) -> Iterator[SettingsWarning]:
    fix = "`github.app` or `github.token`"
    if settings.github.webhook.secret is not None:
        message = "webhooks are not received: the settings name neither an app nor a token"
        yield SettingsWarning(("github", "webhook"), "useless", message, fix)
    for place, each in enumerate(settings.repositories):
        if each.github is not None:
            message = f"nothing is reported to {each.github}: there is neither an app nor a token"
            yield SettingsWarning(("repositories", place, "github"), "useless", message, fix)
    for place, wish in enumerate(settings.notify):
        if wish.to == GITHUB_ISSUE:
            message = "no issue can be opened: there is neither an app nor a token"
            yield SettingsWarning(("notify", place, "to"), "useless", message, fix)


def _webhook(settings: Settings) -> Iterator[SettingsWarning]:
    webhook = settings.github.webhook
    if webhook.secret is None:
        if webhook.model_fields_set:
            message = "webhooks are not received without `github.webhook.secret`"
            yield SettingsWarning(
                ("github", "webhook"), "useless", message, "the name of its secret"
            )
        return
    for place, port in settings.ports.items():
        if port == webhook.port:
            message = f"webhooks and {place} are configured to use the same port, {port}"
            yield SettingsWarning(
                ("ports", place), "contradiction", message, "another port for one of them"
            )


def _repositories(settings: Settings, names: Mapping[str, str]) -> Iterator[SettingsWarning]:
    often = Counter(name.lower() for name in names.values())
    for place, each in enumerate(settings.repositories):
        full = names.get(each.name)
        if full is None and _looks_like_github(each.url):
            message = f"the address of `{each.name}` does not tell its name on GitHub"
            fix = "`github: OWNER/NAME`; without it, its reports are git notes"
            yield SettingsWarning(("repositories", place, "url"), "useless", message, fix)
        if full is None and each.notes:
            message = (
                f"`notes` has no effect: `{each.name}` is not on GitHub, so it has notes anyway"
            )
            path = ("repositories", place, "notes")
            yield SettingsWarning(path, "useless", message, "no `notes` there")
        if full is not None and often[full.lower()] > 1:
            message = f"{full} is watched twice, so both report the same checks"
            fix = "one entry, which covers all pipelines of the repository"
            yield SettingsWarning(("repositories", place), "duplicate", message, fix)


def _looks_like_github(url: str) -> bool:
    """Whether it looks like an alias in ssh's configuration for GitHub, such as
    git@github-work:team/flights.git."""
    host = urlsplit(url).hostname if "://" in url else url.partition(":")[0].rpartition("@")[2]
    return ":" in url and "github" in (host or "").lower()
