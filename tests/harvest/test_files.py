"""Splits, types, and files that are whole or not there."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import ConfigError
from guard.harvest.features import Features, joined, type_of
from guard.harvest.selecting import trusts
from guard.harvest.sink import MADE_BY, place
from guard.harvest.split import split_of
from guard.harvest.writing import whole

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda of: st.lists(of, max_size=3) | st.dictionaries(st.sampled_from("abc"), of, max_size=3),
    max_leaves=6,
)


@given(st.text(max_size=20), st.floats(0, 0.99), st.floats(0, 0.99))
def test_what_validates_at_a_small_share_does_at_a_larger_one(name: str, one: float, other: float) -> None:
    small, large = sorted((one, other))
    assert split_of(name, 0) == "train"
    if split_of(name, small) == "validation":
        assert split_of(name, large) == "validation"


def test_a_share_is_about_a_share() -> None:
    drawn = [split_of(f"conversation {number}", 0.1) for number in range(5_000)]
    assert 400 < drawn.count("validation") < 600


@given(JSON, JSON, JSON)
def test_joined_types_do_not_depend_on_the_order(one: Any, two: Any, three: Any) -> None:
    a, b, c = map(type_of, (one, two, three))
    assert joined(a, a) == a
    assert joined(a, b) == joined(b, a)
    assert joined(joined(a, b), c) == joined(a, joined(b, c))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ([None, 1, 0.5], {"dtype": "float64"}),
        ([None, None], {"dtype": "null"}),
        ([1, "one"], {"dtype": "json"}),
        ([[], [1]], {"list": "int64"}),
        ([{}], {"dtype": "json"}),
        ([{"a": 1}, {"a": None}], {"struct": [{"name": "a", "dtype": "int64"}]}),
        ([{"a": 1}, {"b": 1}], {"dtype": "json"}),
        ([[{"a": 1}], [{"a": 2.5}]], {"list": [{"name": "a", "dtype": "float64"}]}),
        ([[{"a": 1}], [{"b": 1}]], {"list": "json"}),
        ([[[1]], [[]]], {"list": {"list": "int64"}}),
    ],
)
def test_the_types_of_a_column(values: list[Any], told: dict[str, Any]) -> None:
    features = Features()
    for value in values:
        features.see({"x": value})
    assert features.yaml() == [{"name": "x", **told}]


def test_datasets_reads_each_split_with_the_same_types(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="rows are read as in the `train` extra")
    import yaml

    train = [{"n": None, "l": [], "j": {"a": 1}, "m": [[1]]}] * 2
    validation = [{"n": 0.5, "l": [{"a": "x"}], "j": {"b": [1]}, "m": [[]]}]
    features = Features()
    for name, rows in (("train", train), ("validation", validation)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        for row in rows:
            features.see(row)
    front = {
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": name, "path": f"{name}.jsonl"} for name in ("train", "validation")],
            }
        ],
        "dataset_info": {"config_name": "default", "features": features.yaml()},
    }
    (tmp_path / "README.md").write_text(f"---\n{yaml.safe_dump(front)}---\n", encoding="utf-8")
    read = datasets.load_dataset(str(tmp_path), cache_dir=str(tmp_path / "cache"))
    assert [dict(row) for row in read["train"]] == train
    assert [dict(row) for row in read["validation"]] == validation


@given(lines=st.lists(st.binary(max_size=9).map(bytes.hex).map(str.encode), max_size=5))
def test_a_file_is_what_was_written(lines: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("out") / "rows.jsonl"
    with whole([path], path) as (file,):
        for line in lines:
            file.write(line)
        assert not path.exists()
    read = path.read_bytes()
    assert read == b"".join(line + b"\n" for line in lines)
    assert (file.rows, file.size, file.sha256) == (len(lines), len(read), hashlib.sha256(read).hexdigest())
    assert [each.name for each in path.parent.iterdir()] == ["rows.jsonl"]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    old, new = tmp_path / "old.jsonl", tmp_path / "new.jsonl"
    old.write_text("kept", encoding="utf-8")
    with pytest.raises(ZeroDivisionError), whole([old, new], tmp_path) as files:
        files[0].write(b"half" * (1 // 0))
    assert old.read_text(encoding="utf-8") == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["old.jsonl"]


def test_a_link_stays_one_and_a_device_is_written_to(tmp_path: Path) -> None:
    target, link = tmp_path / "target.jsonl", tmp_path / "link.jsonl"
    target.write_text("old", encoding="utf-8")
    link.symlink_to(target)
    with whole([link, Path("/dev/null")], link) as (file, nothing):
        file.write(b"new")
        nothing.write(b"away")
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "new\n"
    assert Path("/dev/null").is_char_device()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "rows.jsonl"
    with pytest.raises(ConfigError, match=r"--out .*nowhere.* cannot be written: No such file"), whole([path], path):
        pass


def test_where_files_go(tmp_path: Path) -> None:
    file, folder = tmp_path / "rows.jsonl", tmp_path / "set"
    assert place(file, 0, None).splits == {"train": file}
    assert place(file, 0, None).card is None
    assert place(file, 0, True).card == tmp_path / "README.md"
    assert place(folder, 0, None).splits == {"train": folder / "train.jsonl"}
    assert place(folder, 0, None).card == folder / "README.md"
    assert place(folder, 0, False).card is None
    assert place(tmp_path, 0.1, None).splits["validation"] == tmp_path / "validation.jsonl"
    assert place(folder, 0.1, None).splits["train"] == folder / "train.jsonl"
    with pytest.raises(ConfigError, match=r"two splits need a folder: say --out '.*/rows', or make"):
        place(file, 0.1, None)
    file.mkdir()
    assert place(file, 0.1, None).splits["train"] == file / "train.jsonl"


def test_what_else_lies_in_the_folder_is_named(tmp_path: Path) -> None:
    for name in ("train.jsonl", "README.md", ".gitattributes", "old.jsonl"):
        (tmp_path / name).write_text(MADE_BY, encoding="utf-8")
    assert place(tmp_path, 0, None).others == ["old.jsonl"]
    assert place(tmp_path / "new", 0, None).others == []
    assert place(tmp_path / "rows.jsonl", 0, None).others == ()


@pytest.mark.parametrize(
    ("share", "there", "message"),
    [
        (1.0, {}, "--validation 1.0 is no share"),
        (-0.1, {}, "is no share"),
        (float("nan"), {}, "is no share"),
        (0.0, {"validation.jsonl": ""}, "another export; remove it"),
        (0.1, {"README.md": "mine"}, "no card of an export's; say --no-card"),
    ],
)
def test_what_is_in_the_way_stays(share: float, there: dict[str, str], message: str, tmp_path: Path) -> None:
    for name, text in there.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        place(tmp_path, share, None)
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == there


def test_a_card_of_an_export_s_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(f"# rows\n{MADE_BY}\n", encoding="utf-8")
    assert place(tmp_path, 0.1, None).card == tmp_path / "README.md"
    file = tmp_path / "rows.jsonl"
    file.touch()
    with pytest.raises(ConfigError, match="two splits need a folder"):
        place(file, 0.1, None)


def test_a_check_is_trusted_for_many_reviews_of_which_nearly_all_were_right() -> None:
    found = trusts({"few": (19, 0), "good": (18, 2), "bad": (17, 3), "none": (0, 0)})
    assert {trust.check: trust.enough for trust in found} == {"few": False, "good": True, "bad": False}
    low, high = next(trust for trust in found if trust.check == "good").interval
    assert (round(low, 3), round(high, 3)) == (0.699, 0.972)
    assert [trust.enough for trust in trusts({"good": (20, 0), "bad": (99, 1)}, 1.0)] == [False, True]
    with pytest.raises(ConfigError, match=r"--trust 0.0 is no precision"):
        trusts({}, 0.0)
