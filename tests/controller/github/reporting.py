"""Reports on the repository of `conftest`."""

from controller.reports.forge import CommitReport

NAMES = {"flights": "octo/flights"}


def said(commit: str, state: str, text: str, **more: object) -> CommitReport:
    return CommitReport.model_validate(
        {
            "repository": "flights",
            "commit": commit,
            "pipeline": "flight-delay",
            "state": state,
            "title": state,
            "run": "flight-delay-1",
            "text": text,
            **more,
        }
    )
