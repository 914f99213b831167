"""Whatever a commit changes: no pipeline that it touches is taken for untouched."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.machine.core import parsed
from controller.machine.pipelines.code import Code
from controller.machine.pipelines.touched import changed_paths, is_untouched, touched
from controller.machine.pipelines.trust import changes_pipeline
from controller.machine.runs.commit_files import CommitFiles
from controller.machine.runs.exam import in_repository
from controller.machine.runs.graph import LINK, SourceTree
from controller.machine.runs.graph_builder import build
from controller.machine.runs.referenced_files import referenced_files, within_reach
from controller.machine.runs.step_nodes import image_of
from specs.globs import ROOT, admits, admits_link, matches, seen_from
from specs.model import Pipeline
from specs.projects.values import Package, Project
from tests.controller.machine.kit import spec

FOLDERS = ("", "teams", "teams/churn", "src", "src/deep", "data", "docker")
NAMES = ("train.py", "a.csv", "README.md", "Dockerfile", "requirements.txt", "numbers.yaml", "src",
         "ml-pipeline.yaml")  # fmt: skip
GLOBS = (
    *(
        "**",
        "*.py",
        "train.py",
        "!**/*.md",
        "ml-pipeline.yaml",
        "src/",
        "//src/**",
        "//src/*.py",
        "!//src/*.md",
    ),
    *(
        "//teams/churn/**",
        "//teams/*/train.py",
        "//**",
        "//*/a.csv",
        "//data",
        "//src/deep/train.py",
    ),
)
ENTRIES = ("1", "2", "exec:1", f"{LINK}1:1", f"{LINK}1:2", f"{LINK}1")

paths = st.builds(
    lambda folder, name: f"{folder}/{name}" if folder else name,
    st.sampled_from(FOLDERS),
    st.sampled_from(NAMES),
)
trees = st.dictionaries(paths, st.sampled_from(ENTRIES), max_size=14)
globs = st.lists(st.sampled_from(GLOBS), min_size=1, max_size=3)


@st.composite
def specs(draw: st.DrawFn) -> Pipeline:
    """A spec that names files here and elsewhere, in every way that a spec can."""

    def maybe(*values: Any) -> Any:
        return draw(st.sampled_from((None, *values)))

    changes: list[tuple[str, Any]] = [
        ("steps.train.reads", draw(st.none() | globs)),
        ("triggers.commits.paths", draw(globs)),
        (
            "datasets.numbers.expectations",
            draw(st.sampled_from(["//numbers.yaml", "numbers.yaml"])),
        ),
        ("datasets.numbers.uri", draw(st.sampled_from(["s3://lake/n", "//data/*.csv", "data"]))),
    ]
    if build := maybe("//docker", "src", "//", "."):
        changes.append(("steps.train.build", build))
    if requirements := maybe("//requirements.txt", "//src/requirements.txt", "requirements.txt"):
        changes.append(("environment.requirements", requirements))
    return spec(*(change for change in changes if change[1] is not None))


PROJECT = Project(
    folder="src",
    lock="src/a.csv",
    kind="uv",
    packages=(Package(folder="src", name="s", files=("src/train.py",), about="a"),),
)


@st.composite
def codes(draw: st.DrawFn, files: CommitFiles, commit: str) -> dict[str, Code]:
    """The specs of a commit, by path."""
    found = {}
    for folder in ("", "teams/churn", "src"):
        kind = draw(st.sampled_from(["valid", "broken", "gone", "project"]))
        made = draw(st.sampled_from((draw(specs()), spec())))
        if kind == "project":
            made = made.model_copy(
                update={"environment": made.environment.model_copy(update={"project": "src"})}
            )
        source = SourceTree(
            repository="team",
            commit=commit,
            folder=folder,
            files=files,
            project=PROJECT if kind == "project" else None,
        )
        if kind != "gone":
            code = Code(source=source, name="mean", spec=None if kind == "broken" else made)
            found[source.path] = code
    return found


@st.composite
def commits(draw: st.DrawFn) -> tuple[dict[str, Code], dict[str, Code]]:
    """A commit and the next, which often changes little."""
    tree = draw(trees)
    edits = draw(st.dictionaries(paths, st.sampled_from((None, *ENTRIES)), max_size=3))
    edited = {path: what for path, what in {**tree, **edits}.items() if what is not None}
    before = draw(codes(CommitFiles(tree), "1"))
    after = draw(codes(CommitFiles(edited), "2"))
    for path in before.keys() & after.keys():
        if draw(st.integers(0, 3)):  # as a rule the spec is the same
            same = {"spec": before[path].spec}
            source = after[path].source.model_copy(update={"project": before[path].source.project})
            after[path] = after[path].model_copy(update={**same, "source": source})
    return before, after


@settings(max_examples=400, deadline=None)
@given(commits())
def test_what_counts_as_untouched_has_the_same_inputs(
    pair: tuple[dict[str, Code], dict[str, Code]],
) -> None:
    before, after = pair
    expected = tuple(
        path for path, code in after.items() if changes_pipeline(before.get(path), code)
    )
    assert touched(before, after) == expected
    for path in before.keys() & after.keys():
        was, now = before[path], after[path]
        changed = changed_paths(was.source.files, now.source.files)
        assert not (is_untouched(was, now, changed) and path in expected)


def test_a_change_elsewhere_leaves_a_pipeline_untouched_without_building_its_graph() -> None:
    files = {"teams/churn/train.py": "1", "src/a.py": "1", "other/b.py": "1"}
    both = []
    for commit, change in (("1", {}), ("2", {"other/b.py": "2"}), ("3", {"src/a.py": "2"})):
        tree = CommitFiles({**files, **change})
        source = SourceTree(repository="team", commit=commit, folder="teams/churn", files=tree)
        both.append(Code(source=source, spec=spec(("steps.train.reads", ["train.py", "//src/**"]))))
    first, elsewhere, read = both
    assert is_untouched(first, elsewhere, changed_paths(first.source.files, elsewhere.source.files))
    assert not is_untouched(first, read, changed_paths(first.source.files, read.source.files))


@settings(max_examples=300, deadline=None)
@given(
    trees, globs, st.sampled_from(FOLDERS), st.sampled_from(["//data/*.csv", "//", "data", "//src"])
)
def test_what_is_found_by_the_index_is_what_a_look_at_every_file_finds(
    tree: dict[str, str], asked: list[str], folder: str, uri: str
) -> None:
    source = SourceTree(repository="team", commit="1", folder=folder, files=tree)
    seen = {seen_from(folder, path): what for path, what in tree.items()}
    assert list(source.admitted(asked).items()) == [
        (path, what)
        for path, what in sorted(seen.items())
        if (admits_link if what.startswith(LINK) else admits)(asked, path, folder)
    ]
    files = tree if uri.startswith(ROOT) else dict(source.below)
    plain = uri.removeprefix(ROOT)
    ways = ["/".join(plain.split("/")[:end]) for end in range(1, plain.count("/") + 1)]
    assert in_repository(source, uri) == {
        path: what
        for path, what in files.items()
        if not plain
        or matches(plain, path)
        or matches(f"{plain}/**", path)
        or (what.startswith(LINK) and any(matches(way, path) for way in ways))
    }
    for folder_built in ("//docker", "src", ".", "//"):
        context = source.within("" if folder_built == "." else folder_built).removesuffix("/")
        same = SourceTree(
            repository="team",
            commit="2",
            folder=folder,
            files={p: w for p, w in tree.items() if p.startswith(f"{context}/") or not context},
        )
        assert image_of(built(folder_built), source, "train") == image_of(
            built(folder_built), same, "train"
        )


def built(folder: str) -> Pipeline:
    return spec(("steps.train.build", folder))


@settings(max_examples=300, deadline=None)
@given(commits())
def test_what_is_stored_of_a_source_has_the_same_graph(
    pair: tuple[dict[str, Code], dict[str, Code]],
) -> None:
    for code in pair[0].values():
        if code.spec is not None:
            stored = within_reach(code.spec, code.source)
            assert stored.files.items() <= code.source.files.items()
            assert build(code.spec, stored) == build(code.spec, code.source)
            assert referenced_files(code.spec, stored) == referenced_files(code.spec, code.source)
            kept = code.model_copy(update={"source": parsed(SourceTree, stored.plain())})
            assert not changes_pipeline(kept, code)
