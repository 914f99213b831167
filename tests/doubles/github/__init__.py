"""A GitHub for tests: HTTP, state, real git, and validated against GitHub's own API description."""

from tests.doubles.github.calls import Refusal
from tests.doubles.github.description import webhook_examples
from tests.doubles.github.double import GitHub
from tests.doubles.github.guard import Fault
from tests.doubles.github.state import CheckRun, Comment, Deployment, Issue, Repository
from tests.doubles.github.webhooks import Delivery, Webhooks

__all__ = [
    "CheckRun",
    "Comment",
    "Delivery",
    "Deployment",
    "Fault",
    "GitHub",
    "Issue",
    "Refusal",
    "Repository",
    "Webhooks",
    "webhook_examples",
]
