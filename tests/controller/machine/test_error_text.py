"""What of a step's output may be shown in a report."""

import pytest

from controller.machine.error_text import without_traceback
from controller.reports.commit_report import build
from tests.controller.reports.stories import failed_step, graph, run
from tests.controller.reports.test_commit_report import SHA, action

FOLDER = "/srv/home/attempts/flight-delay-6.train.2/code"
WORDS = f"""it ended with exit code 1. Its last words: UA 1545 EWR late
Traceback (most recent call last):
  File "{FOLDER}/lib/train.py", line 62, in <module>
    main()
  File "{FOLDER}/train.py", line 20, in main
    columns['carrier_rank']
    ~~~~~~~^^^^^^^^^^^^^^^^
  File "/srv/home/environments/1/lib/python3.12/site-packages/pandas/core.py", line 9, in get
    raise KeyError(key)
KeyError: 'carrier_rank'"""


def test_of_a_traceback_the_exception_stays_and_the_line_of_the_commit_it_came_through() -> None:
    assert (
        without_traceback(WORDS)
        == "it ended with exit code 1: KeyError: 'carrier_rank' (train.py, line 20)"
    )


def test_of_a_traceback_in_a_traceback_the_last_exception_stays() -> None:
    again = WORDS.partition("words: ")[2].replace("KeyError: 'carrier_rank'", "ValueError: no")
    between = "\n\nDuring handling of the above exception, another exception occurred:\n\n"
    assert without_traceback(WORDS + between + again).endswith(
        ": ValueError: no (train.py, line 20)"
    )


def test_a_traceback_whose_beginning_is_cut_off_is_left_out_as_well() -> None:
    cut = WORDS[WORDS.index('train.py", line 20') :]
    rest = f'    foo()\n  File "{FOLDER}/{cut}'
    assert without_traceback(rest) == "KeyError: 'carrier_rank' (train.py, line 20)"


@pytest.mark.parametrize(
    ("said", "stays"),
    [
        (
            (
                f"{FOLDER}/rank.js:3\nthrow new Error('no clicks')\n^\n\nError: no clicks\n"
                f"    at main ({FOLDER}/rank.js:3:7)\n    at node:internal/main/run:28:49\n\n"
                "Node.js v22.1.0"
            ),
            "Error: no clicks",
        ),
        (
            (
                "\tat team.Load.read(Load.java:3)\n\nException in thread main: no clicks\n"
                "\tat team.Rank.main(Rank.java:12)\n\tat java.Lang.run(Native Method)"
            ),
            "Exception in thread main: no clicks",
        ),
        ("    at Rank.Main() in /src/Rank.cs:line 12", "it ended with an exception"),
    ],
)
def test_frames_of_other_languages_are_left_out_as_well(said: str, stays: str) -> None:
    ended = "it ended with exit code 1"
    assert without_traceback(f"{ended}. Its last words: {said}") == f"{ended}: {stays}"


def test_text_that_only_looks_like_a_frame_stays() -> None:
    said = "it ended with exit code 1. Its last words: wanted\n    at least 3 rows"
    assert without_traceback(said) == said


def test_the_output_of_a_server_is_treated_in_the_same_way() -> None:
    log = WORDS.partition("words: ")[2]
    said = f"it ended twice; the last time: exit code 1; its log ends:\n{log}"
    exception = "KeyError: 'carrier_rank' (train.py, line 20)"
    assert without_traceback(said) == f"it ended twice; the last time: exit code 1: {exception}"


def test_the_folders_of_packages_are_left_out() -> None:
    packages = "/srv/home/environments/1a2b/lib/python3.12/site-packages/"
    said = f"it ended with exit code 1. Its last words: {packages}sklearn/base.py:347: a warning"
    assert without_traceback(said).endswith("words: sklearn/base.py:347: a warning")


def test_other_text_stays_except_for_the_folder_of_the_attempt() -> None:
    said = "it ended with exit code 1. Its last words: no file "
    assert without_traceback(f"{said}{FOLDER}/data/a.csv") == f"{said}data/a.csv"


def test_a_report_of_a_failed_step_has_neither_frames_nor_rows_nor_folders() -> None:
    failed = run(SHA, {"train": failed_step(WORDS)})
    report = build(action("failed", "flight-delay-12 failed"), failed, graph(SHA), {})
    exception = "it ended with exit code 1: KeyError: 'carrier_rank' (train.py, line 20)"
    assert report.title == f"flight-delay-12 failed: train: {exception}"
    for unfit in ("Traceback", "UA 1545", "/srv", "site-packages"):
        assert unfit not in report.text
    assert f"`train` failed:\n\n```text\n{exception}\n```" in report.text
