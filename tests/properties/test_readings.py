"""Whatever a commit changes: a reading that is used again is what a new one would be."""

import hashlib
import posixpath

from hypothesis import example, given, settings
from hypothesis import strategies as st

from controller.git.links import with_link_targets
from controller.git.pointers import POINTER
from controller.git.spec_facts import CommitFacts
from controller.git.spec_reading import SpecReader, SpecReading
from controller.machine.runs.commit_files import CommitFiles

HEAD = "apiVersion: headgate.dev/v1\nkind: MLPipeline\nmetadata: {name: mean}\n"
TRAIN = "  train: {run: 'python train.py RUN {outputs.model}', outputs: {model: m.bin}READS}\n"
PARTS = (
    "environment: {requirements: requirements.txt}\n",
    "environment: {requirements: //requirements.txt}\n",
    "environment: {project: .}\n",
    "environment: {project: //libs}\n",
    "datasets: {d: {uri: s3://a/b/, expectations: suites/d.yaml}}\n",
    "datasets: {d: {uri: data/, expectations: //suites/d.yaml}}\n",
    "triggers: {commits: {paths: ['*.py', '!a/**']}}\n",
    "triggers: {commits: {paths: ['//src/**', '//team*/x']}}\n",
    "odd: 1\n",
)
RUNS = ("", "{root}/src/a.py", "../../libs/x", "//src/a.py", "suites/d.yaml", "{root}", "./a")
READS = (
    "",
    ", reads: ['train.py', '//src/**']",
    ", reads: ['a/', '!**/*.md']",
    ", reads: ['//libs/']",
)
SPECS = st.builds(
    lambda parts, run, reads: (
        HEAD
        + "".join({part.partition(":")[0]: part for part in parts}.values())
        + "steps:\n"
        + TRAIN.replace("RUN", run).replace("READS", reads)
    ),
    st.lists(st.sampled_from(PARTS), max_size=3),
    st.sampled_from(RUNS),
    st.sampled_from(READS),
)
NAMES = (
    *("train.py", "requirements.txt", "a", "a/b.md", "a/c.py", "suites/d.yaml", "data/1.csv"),
    *("pyproject.toml", "uv.lock", "caf\\xe9.py", "team1/x"),
)
FOLDERS = ("", "team/churn/", "src/", "libs/", "other/")
PATHS = tuple(f"{folder}{name}" for folder in FOLDERS for name in NAMES)
TEXTS = (
    *("", "numpy\n", "--index-url https://u:p@h/\n", "version = 1\nrequires-python = '>=3.11'\n"),
    *("[project]\nname = 'x'\nversion = '1'\n", "-> ../../src/a", "-> src", "lfs", "submodule"),
)
FILES = st.dictionaries(st.sampled_from(PATHS), st.sampled_from(TEXTS), max_size=12)
PATH = "team/churn/ml-pipeline.yaml"


def facts_of(texts: dict[str, str]) -> CommitFacts:
    """A commit with these files: some are links, Git LFS pointers or submodules."""
    there = {
        path: text
        for path, text in texts.items()
        if not any(path.startswith(f"{other}/") for other in texts)  # a file is no folder
    }
    files, links = {}, {}
    for path, text in there.items():
        sha = hashlib.sha1(text.encode()).hexdigest()
        files[path] = sha
        if text.startswith("-> "):
            files[path], links[sha] = f"symlink:{sha}", text.removeprefix("-> ")
        elif text == "lfs":
            files[path] = f"{POINTER}3:{sha}:{sha}"
        elif text == "submodule":
            files[path] = f"submodule:{sha}"
    return CommitFacts(CommitFiles(with_link_targets(files, links)), lfs=True)


def read(facts: CommitFacts, texts: dict[str, str]) -> SpecReading:
    """Read the spec, and the files that it asks for."""
    reader = SpecReader(facts, PATH, texts[PATH].encode())
    while wanted := reader.wanted():
        for path in wanted:
            reader.give(path, content(texts, path))
    return reader.end(engine=False)


def content(texts: dict[str, str], path: str) -> bytes | None:
    """The file at a path, by way of at most one link."""
    text = texts[path]
    if text.startswith("-> "):
        end = posixpath.normpath(posixpath.join(posixpath.dirname(path), text.removeprefix("-> ")))
        text = texts.get(end, "-> ")
    return None if text.startswith("-> ") else text.encode()


def said(reading: SpecReading) -> tuple[object, ...]:
    return (
        reading.pipeline,
        reading.name,
        reading.branches,
        reading.problems,
        reading.images,
        reading.project,
        reading.text,
    )


@settings(max_examples=500, deadline=None)
@given(
    SPECS,
    FILES,
    st.dictionaries(
        st.sampled_from(PATHS), st.sampled_from((None, *TEXTS)), min_size=1, max_size=2
    ),
)
@example(
    HEAD + "steps:\n" + TRAIN.replace("RUN", "").replace("READS", ", reads: ['//src/**']"),
    {"team/churn/train.py": "", "src/a": ""},
    {"src/a": None},
)
@example(
    HEAD + PARTS[0] + "steps:\n" + TRAIN.replace("RUN", "").replace("READS", ""),
    {"team/churn/train.py": "", "team/churn/requirements.txt": "-> ../../src/a", "src/a": ""},
    {"src/a": "--index-url https://u:p@h/\n"},
)
@example(
    HEAD + PARTS[5] + "steps:\n" + TRAIN.replace("RUN", "").replace("READS", ""),
    {"team/churn/train.py": "", "suites/d.yaml": "", "team/churn/data/1.csv": ""},
    {"suites/d.yaml": None},
)
@example(
    HEAD + PARTS[5] + "steps:\n" + TRAIN.replace("RUN", "").replace("READS", ""),
    {"team/churn/train.py": "", "suites/d.yaml": "", "team/churn/data/1.csv": ""},
    {"suites/d.yaml": "lfs"},
)
def test_a_reading_that_holds_at_another_commit_is_the_reading_there(
    spec: str, files: dict[str, str], edits: dict[str, str | None]
) -> None:
    before = {**files, PATH: spec}
    after = {path: text for path, text in {**before, **edits}.items() if text is not None}
    first, later = facts_of(before), facts_of(after)
    reading = read(first, before)
    assert reading.holds(first) == reading.is_covered
    if reading.holds(later) and first.absent_digest == later.absent_digest:
        assert said(reading) == said(read(later, after))


def test_a_change_elsewhere_leaves_a_reading_as_it_is() -> None:
    spec = HEAD + "steps:\n" + TRAIN.replace("RUN", "").replace("READS", READS[1])
    texts = {PATH: spec, "team/churn/train.py": "", "src/a.py": "", "other/b.py": ""}
    reading = read(facts_of(texts), texts)
    assert reading.pipeline is not None
    for path in ("other/b.py", "other/new.py", "new.py", "team/other/train.py"):
        assert reading.holds(facts_of({**texts, path: "new"}))
    assert reading.holds(facts_of({**texts, "src/a.py": "new"})), "what is in it does not matter"
    for path in ("team/churn/new.py", "src/new.py"):
        assert not reading.holds(facts_of({**texts, path: "new"}))
