"""Reading webhooks: every example that GitHub publishes, and some it does not."""

import gzip
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.github.webhooks import LONGEST_BODY, Hint, Malformed, read, verify

EXAMPLES = Path(__file__).parents[2] / "doubles" / "github" / "webhook-examples.json.gz"
REPO = {"full_name": "octo/flights"}

HEEDED = {
    "check_run": {"rerequested", "requested_action"},
    "check_suite": {"rerequested"},
    "installation": {"created", "deleted", "new_permissions_accepted", "suspend", "unsuspend"},
    "installation_repositories": {"added", "removed"},
    "pull_request": {
        "opened", "closed", "reopened", "synchronize", "ready_for_review", "converted_to_draft",
    },
    "merge_group": {"checks_requested"},
    "push": {None},
}  # fmt: skip
"""Of the examples; every other event and action is ignored on purpose."""


def signed(secret: str, body: bytes) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def hint(event: str, **payload: Any) -> Hint | None:
    return read(event, json.dumps({"repository": REPO, **payload}).encode())


def test_every_example_is_read_or_ignored_on_purpose() -> None:
    events = json.loads(gzip.decompress(EXAMPLES.read_bytes()))
    examples = [(event["name"], example) for event in events for example in event["examples"]]
    assert len(examples) == 329
    heeded: dict[str, set[str | None]] = {}
    for event, example in examples:
        found = read(event, json.dumps(example).encode())
        if found is None:
            continue
        heeded.setdefault(event, set()).add(example.get("action"))
        if found.kind != "installation":
            assert found.repository == example["repository"]["full_name"]
        if event == "pull_request":
            assert found.pull == example["number"]
            assert found.head == example["pull_request"]["head"]["ref"]
        if event == "check_run":
            assert (found.check, found.sha) == (
                example["check_run"]["id"],
                example["check_run"]["head_sha"],
            )
        if event == "check_suite":
            assert (found.check, found.sha) == (None, example["check_suite"]["head_sha"])
    assert heeded == HEEDED


def test_every_example_that_lost_its_details_is_no_worse_than_a_look() -> None:
    events = json.loads(gzip.decompress(EXAMPLES.read_bytes()))
    for event in events:
        for example in event["examples"]:
            for name in set(example) - {"repository", "action"}:
                odd: list[Any] = [None, [], "odd", {}]
                for other in odd:
                    read(event["name"], json.dumps({**example, name: other}).encode())


def test_a_command_is_the_comment_that_starts_with_it_on_a_pull_request() -> None:
    comment = {"id": 9, "body": " /headgate retry", "user": {"login": "ada"}}
    on_pull = {"number": 3, "pull_request": {"url": "x"}}
    found = hint("issue_comment", action="created", comment=comment, issue=on_pull)
    assert found == Hint(
        kind="comment",
        repository="octo/flights",
        pull=3,
        comment=9,
        author="ada",
        body=" /headgate retry",
    )
    other = {**comment, "body": "/Headgate Run"}
    assert hint("issue_comment", action="created", comment=other, issue=on_pull) is not None
    for action, text, where in (
        ("edited", "/headgate approve", on_pull),
        ("deleted", "/headgate approve", on_pull),
        ("created", "what does /headgate do?", on_pull),
        ("created", "    /headgate plan", on_pull),
        ("created", "/headgate approve", {"number": 3}),
    ):
        other = {**comment, "body": text}
        assert hint("issue_comment", action=action, comment=other, issue=where) is None


def test_a_button_says_which_check_of_ours_who_and_what() -> None:
    check = {"id": 11, "external_id": "run-1", "head_sha": "abc"}
    found = hint(
        "check_run",
        action="requested_action",
        check_run=check,
        requested_action={"identifier": "approve"},
        sender={"login": "ada"},
    )
    assert found == Hint(
        kind="action",
        repository="octo/flights",
        check=11,
        external_id="run-1",
        action="approve",
        author="ada",
        sha="abc",
    )


def test_what_comes_from_outside_is_bounded_and_fit_to_be_stored() -> None:
    comment = {"id": 2**70, "body": "/headgate " + "\ud800" * 9000, "user": {"login": "x" * 9000}}
    issue = {"number": True, "pull_request": {}}
    found = hint("issue_comment", action="created", comment=comment, issue=issue)
    assert found is not None
    assert (found.comment, found.pull) == (None, None)
    assert len(found.body) == LONGEST_BODY
    assert len(found.author) == 300
    found.model_dump_json()


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b"payload=%7B%7D"]
)
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed, match="JSON"):
        read("push", body)


def test_githubs_own_example_of_a_signature() -> None:
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    given = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert verify(["It's a Secret to Everybody"], b"Hello, World!", given)
    assert not verify(["It's a Secret to Everybody"], b"Hello, World", given)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3), st.binary(), st.data())
def test_what_any_of_the_secrets_signed_is_genuine(
    secrets: list[str], body: bytes, data: st.DataObject
) -> None:
    secrets = [secret.encode(errors="replace").decode() for secret in secrets]
    assert verify(secrets, body, signed(data.draw(st.sampled_from(secrets)), body))


@given(st.text(min_size=1).filter(str.isascii), st.binary(min_size=1), st.data())
def test_one_changed_bit_is_enough_to_be_refused(
    secret: str, body: bytes, data: st.DataObject
) -> None:
    genuine = signed(secret, body)
    changed = bytearray(body)
    changed[data.draw(st.integers(0, len(body) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert not verify([secret], bytes(changed), genuine)
    digit = data.draw(st.integers(len("sha256="), len(genuine) - 1))
    other = "0" if genuine[digit] != "0" else "1"
    assert not verify([secret], body, genuine[:digit] + other + genuine[digit + 1 :])


@given(st.lists(st.just("") | st.just("secret")), st.binary(), st.none() | st.text())
def test_no_signature_is_guessed_and_an_empty_secret_opens_nothing(
    secrets: list[str], body: bytes, signature: str | None
) -> None:
    assert not verify(secrets, body, signature and signature.encode(errors="replace").decode())
    assert not verify([""], body, signed("", body))
    assert not verify([], body, signed("secret", body))
