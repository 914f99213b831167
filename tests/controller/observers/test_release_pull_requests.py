"""Whom the webhook of a pull request wakes: of a thousand environments, the one it releases to."""

from pathlib import Path

from controller.git import Mirror
from controller.git.environments import PROPOSALS
from controller.git.repositories import Repositories
from controller.machine.core import InboxMessage, Key
from controller.machine.messages import ForgeMoved
from controller.machine.repositories.repository import RepositoryState
from controller.observers.repository import RepositoryObserver
from controller.store.sqlite import SqliteStore
from tests.controller.git.git_server import Person

KEY = Key("repository", "team")


def hint(number: int, head: str) -> InboxMessage:
    moved = ForgeMoved(pull=True, head=head)
    return InboxMessage(number=number, to=KEY, id=f"github/{number}", message=moved, at=0.0)


async def test_a_pull_request_concerns_the_environment_that_its_head_is_proposed_for(
    tmp_path: Path, store: SqliteStore
) -> None:
    ada = Person(tmp_path / "ada")
    mirrors = {"team": Mirror(str(ada.remote), tmp_path / "mirror.git")}
    observer = RepositoryObserver(Repositories(mirrors, tmp_path / "checkouts"), {}, store)
    known = RepositoryState(
        name="team", default_branch="main", heads={"main": ada.push({"a": "1"})}
    )

    async def concerned(*heads: str) -> frozenset[str] | None:
        inbox = [hint(number, head) for number, head in enumerate(heads)]
        return (await observer.observe(KEY, known, inbox)).nudged

    assert await concerned() == frozenset()
    assert await concerned("topic") == frozenset(), "it is of a person, and merges nothing there"
    release = f"{PROPOSALS}mean-production-3"
    assert await concerned("topic", release) == frozenset({"mean/production"})
    assert await concerned(release, "") is None, "an older controller did not note which it was"
