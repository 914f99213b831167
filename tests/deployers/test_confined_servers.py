"""The users of model servers, if the controller is root."""

import json
from pathlib import Path

import pytest

from tests.rights import with_rights


@pytest.mark.bwrap
@pytest.mark.usefixtures("namespaces")
def test_the_servers_of_each_pipeline_are_a_user_of_their_own(tmp_path: Path) -> None:
    done = with_rights("tests.deployers.users_story", str(tmp_path))
    assert done.code == 0, done.err
    found = json.loads(done.out)
    if not found:
        pytest.skip("no users of their own: root lacks a right here")
    first, second = found["users"].values()
    assert first != second
    assert min(first, second) >= 65_536
    assert found["left"] == []
