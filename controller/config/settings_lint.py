"""PURE. Settings of GitHub that are right one by one, and together come to nothing."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from controller.config.settings import Settings
from specs.base import GITHUB_ISSUE


class Doubt(NamedTuple):
    """What probably was not meant."""

    path: tuple[str | int, ...]
    code: str
    message: str
    mend: str


def doubts(settings: Settings, names: Mapping[str, str]) -> Iterator[Doubt]:
    """Every doubt about GitHub. `names` has the `owner/name` there of each repository that has
    one."""
    github = settings.github
    if github.app.id is None and github.token is None:
        yield from _to_nobody(settings)
        return
    if not names:
        message = f"no repository is known to be on {github.url}, so nothing is reported there"
        mend = "`github: OWNER/NAME` at the repository, or another `github.url`"
        yield Doubt(("github",), "useless", message, mend)
    yield from _webhook(settings)
    if len(names) > 0:
        yield from _repositories(settings, names)


def _to_nobody(settings: Settings) -> Iterator[Doubt]:
    mend = "`github.app` or `github.token`"
    if settings.github.webhook.secret is not None:
        message = "webhooks are not taken: the settings name neither an app nor a token"
        yield Doubt(("github", "webhook"), "useless", message, mend)
    for place, each in enumerate(settings.repositories):
        if each.github is not None:
            message = f"nothing is reported to {each.github}: there is neither an app nor a token"
            yield Doubt(("repositories", place, "github"), "useless", message, mend)
    for place, wish in enumerate(settings.notify):
        if wish.to == GITHUB_ISSUE:
            message = "no issue can be opened: there is neither an app nor a token"
            yield Doubt(("notify", place, "to"), "useless", message, mend)


def _webhook(settings: Settings) -> Iterator[Doubt]:
    webhook = settings.github.webhook
    if webhook.secret is None:
        if webhook.model_fields_set:
            message = "no webhook is taken without `github.webhook.secret`"
            yield Doubt(("github", "webhook"), "useless", message, "the name of its secret")
        return
    for place, port in settings.ports.items():
        if port == webhook.port:
            message = f"webhooks and {place} are to be at the same port, {port}"
            yield Doubt(("ports", place), "contradiction", message, "another port for one of them")


def _repositories(settings: Settings, names: Mapping[str, str]) -> Iterator[Doubt]:
    often = Counter(name.lower() for name in names.values())
    for place, each in enumerate(settings.repositories):
        full = names.get(each.name)
        if full is None and _looks_like_github(each.url):
            message = f"the address of `{each.name}` does not say which repository on GitHub it is"
            mend = "`github: OWNER/NAME`; else its reports are git notes"
            yield Doubt(("repositories", place, "url"), "useless", message, mend)
        if full is None and each.notes:
            message = f"`notes` changes nothing: `{each.name}` is not on GitHub, so it has notes"
            yield Doubt(("repositories", place, "notes"), "useless", message, "no `notes` there")
        if full is not None and often[full.lower()] > 1:
            message = f"{full} is watched twice: both report the same checks"
            mend = "one entry; its pipelines are all found"
            yield Doubt(("repositories", place), "duplicate", message, mend)


def _looks_like_github(url: str) -> bool:
    """An address that ssh's own settings stand for, such as git@github-work:team/flights.git."""
    host = urlsplit(url).hostname if "://" in url else url.partition(":")[0].rpartition("@")[2]
    return ":" in url and "github" in (host or "").lower()
