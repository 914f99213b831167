"""What stands at a link in the files of a commit: also what it leads to."""

from hypothesis import given
from hypothesis import strategies as st

from controller.git.links import parse_texts, short_enough, with_link_targets

FOLDERS = st.lists(st.sampled_from(["a", "b"]), max_size=2).map("/".join)
NAMES = st.tuples(FOLDERS, st.sampled_from(["x", "y"])).map(lambda it: "/".join(it).lstrip("/"))


def tree(*, links: dict[str, str], **files: str) -> dict[str, str]:
    """Files by path, `__` for a slash, with_link_targets; a link's text is its id, too."""
    plain = {path.replace("__", "/"): what for path, what in files.items()}
    entries = {path: f"symlink:{text}" for path, text in links.items()}
    return with_link_targets({**plain, **entries}, {text: text for text in links.values()})


def test_an_edit_of_a_file_is_an_edit_of_what_leads_to_it_through_any_number_of_links() -> None:
    links = {"one": "two", "two": "conf/three", "conf/three": "./../req"}
    before, after = tree(links=links, req="1", x="1"), tree(links=links, req="2", x="1")
    assert {path for path in before if before[path] != after[path]} == {"req", *links}
    assert before == tree(links=links, req="1", x="1")
    assert before["one"].startswith("symlink:two:")
    assert tree(links=links, req="1", x="2")["one"] == before["one"], "another file is none of it"


def test_a_link_to_a_folder_covers_all_below_it_and_the_links_there() -> None:
    links = {"held-out": "v1", "v1/more": "../shared/deep"}
    first = tree(links=links, v1__a="1", shared__deep__b="1", shared__c="1")
    assert tree(links=links, v1__a="2", shared__deep__b="1")["held-out"] != first["held-out"]
    assert tree(links=links, v1__a="1", shared__deep__b="2")["held-out"] != first["held-out"]
    assert (
        tree(links=links, v1__a="1", v1__z="", shared__deep__b="1")["held-out"]
        != (first["held-out"])
    )
    assert (
        tree(links=links, v1__a="1", shared__deep__b="1", shared__c="2")["held-out"]
        == (first["held-out"])
    )


def test_a_link_by_way_of_a_linked_folder_goes_where_the_kernel_would() -> None:
    links = {"d/e/here": "../../f/g", "up": "d/e/here/../x"}
    before, after = tree(links=links, f__g__y="", f__x="1"), tree(links=links, f__g__y="", f__x="2")
    assert before["up"] != after["up"]


def test_what_leads_nowhere_in_a_circle_or_out_is_left_as_it_is() -> None:
    links = {
        "gone": "nothing",
        "out": "../x",
        "far": "/etc/passwd",
        "through": "x/y",
        "slash": "x/",
    }
    circle = {"one": "two", "two": "one", "self": "self"}
    made = tree(links=links | circle, x="1")
    assert {path: made[path] for path in links | circle} == {
        path: f"symlink:{text}" for path, text in (links | circle).items()
    }


def test_folders_that_lead_to_one_another_are_told_apart_and_do_not_go_on_for_ever() -> None:
    links = {"a/to": "../b", "b/to": "../a", "b/all": ".."}
    before, after = tree(links=links, a__x="1", b__x="1"), tree(links=links, a__x="2", b__x="1")
    assert all(before[link] != after[link] for link in links)


def test_a_folder_that_is_moved_with_its_links_has_the_same_ids() -> None:
    one = tree(links={"m/held-out": "shared", "m/shared/up": "../x"}, m__shared__a="1", m__x="1")
    two = tree(links={"n/held-out": "shared", "n/shared/up": "../x"}, n__shared__a="1", n__x="1")
    assert one["m/held-out"] == two["n/held-out"]


def test_links_to_more_than_can_be_walked_count_every_file() -> None:
    files = {"x": "1", "y": "1", "a": "symlink:x", "b": "symlink:y", "z": "1"}
    texts = {"x": "x", "y": "y"}
    before, after = (
        with_link_targets(files, texts, most=1),
        with_link_targets(files | {"z": "2"}, texts, most=1),
    )
    assert before["a"] == after["a"]
    assert before["b"] != after["b"]


@given(st.dictionaries(NAMES, st.sampled_from(["1", "exec:1", "submodule:1"])))
def test_without_a_link_nothing_is_changed(files: dict[str, str]) -> None:
    assert with_link_targets(files, {}) == files


@given(
    st.dictionaries(NAMES, st.sampled_from(["1", "2"]), min_size=1, max_size=6),
    st.dictionaries(NAMES, st.tuples(NAMES | FOLDERS, st.integers(0, 3)), max_size=6),
    st.data(),
)
def test_an_edited_target_changes_its_link_and_links_only_change_for_that(
    plain: dict[str, str], given_links: dict[str, tuple[str, int]], data: st.DataObject
) -> None:
    edited = data.draw(st.sampled_from(sorted(plain)))
    links = {f"l/{path}": "../" * up + (to or ".") for path, (to, up) in given_links.items()}
    links["l/it"] = f"../{edited}"
    texts = {text: text for text in links.values()}
    entries = {path: f"symlink:{text}" for path, text in links.items()}
    before = with_link_targets({**plain, **entries}, texts)
    after = with_link_targets({**plain, edited: "edited", **entries}, texts)
    assert before["l/it"] != after["l/it"]
    assert all(what.startswith(entries[path]) for path, what in before.items() if path in entries)
    assert {path: what for path, what in before.items() if path in plain} == plain


def test_texts_are_read_as_git_prints_them_and_none_that_no_link_can_have() -> None:
    about = b"aa blob 3\nbb blob 4097\ncc missing\ndd blob 4\n"
    assert short_enough(about, 4096) == ("aa", "dd")
    assert parse_texts(b"aa blob 3\na\nb\ndd blob 4\n\xff/..\n") == {
        "aa": "a\nb",
        "dd": "\\xff/..",
    }
