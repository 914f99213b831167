"""What of a step's last words is fit for a report."""

from controller.reports.build import build
from controller.reports.words import fit
from tests.controller.reports.stories import broken, graph, run
from tests.controller.reports.test_build import SHA, action

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
    assert fit(WORDS) == "it ended with exit code 1: KeyError: 'carrier_rank' (train.py, line 20)"


def test_of_a_traceback_in_a_traceback_the_last_exception_stays() -> None:
    again = WORDS.partition("words: ")[2].replace("KeyError: 'carrier_rank'", "ValueError: no")
    between = "\n\nDuring handling of the above exception, another exception occurred:\n\n"
    assert fit(WORDS + between + again).endswith(": ValueError: no (train.py, line 20)")


def test_a_traceback_whose_beginning_is_cut_off_is_none_of_a_reader_s_business_either() -> None:
    cut = WORDS[WORDS.index('train.py", line 20') :]
    rest = f'    foo()\n  File "{FOLDER}/{cut}'
    assert fit(rest) == "KeyError: 'carrier_rank' (train.py, line 20)"


def test_other_words_stay_but_for_the_folder_of_the_attempt() -> None:
    said = "it ended with exit code 1. Its last words: no file "
    assert fit(f"{said}{FOLDER}/data/a.csv") == f"{said}data/a.csv"


def test_a_report_of_a_failed_step_has_neither_frames_nor_rows_nor_folders() -> None:
    failed = run(SHA, {"train": broken(WORDS)})
    report = build(action("failed", "flight-delay-12 failed"), failed, graph(SHA), {})
    exception = "it ended with exit code 1: KeyError: 'carrier_rank' (train.py, line 20)"
    assert report.title == f"flight-delay-12 failed: train: {exception}"
    for unfit in ("Traceback", "UA 1545", "/srv", "site-packages"):
        assert unfit not in report.text
    assert f"`train` failed:\n\n```text\n{exception}\n```" in report.text
