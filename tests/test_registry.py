"""Plug-ins and policies by name; what is wrong with one is said in one line that names the place and the value."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from guard import registry
from guard.checks import Resources
from guard.core.policy import Policy
from guard.errors import ConfigError, MissingExtra, PolicyError, UnknownPlugin


def one_line(error: BaseException) -> str:
    assert "\n" not in str(error)
    return str(error)


@pytest.mark.parametrize(
    ("family", "known"),
    [
        ("checks", "there are arithmetic, "),
        ("backends", "openai, scripted, transformers"),
        ("exporters", "prompt_completion"),
    ],
)
def test_an_unknown_plugin_lists_those_there_are(family: Any, known: str) -> None:
    for name in ("nope", "", "a-b", "a.b", "__init__", "../x"):
        with pytest.raises(UnknownPlugin) as raised:
            registry.plugin(family, name)
        assert repr(name) in one_line(raised.value)
        assert known in str(raised.value)


def test_every_name_loads() -> None:
    for family in ("checks", "backends", "exporters"):
        names = registry.names(family)
        assert names == sorted(names)
        for name in names:
            assert registry.plugin(family, name)


def test_a_missing_extra_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from guard import registry\n"
        "from guard.errors import MissingExtra\n"
        "try:\n    registry.plugin('backends', 'transformers')\n"
        "except MissingExtra as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert "'torch'" in done.stdout
    assert "premise-guard[local]" in done.stdout
    assert issubclass(MissingExtra, ConfigError)


def test_an_entry_point_is_a_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name = "mine"

        def load(self) -> str:
            return "loaded"

    def points(group: str, name: str | None = None) -> list[Point]:
        return [Point()] if group == "guard.checks" and name in (None, "mine") else []

    monkeypatch.setattr(registry, "entry_points", points)
    assert registry.plugin("checks", "mine") == "loaded"
    assert "mine" in registry.names("checks")


def test_backend_options_are_validated_and_their_place_named() -> None:
    with pytest.raises(ConfigError) as raised:
        registry.backend("scripted", {"answers": [{"attempts": 1}]}, "model 'm'")
    assert one_line(raised.value).startswith("model 'm': answers.0.attempts: ")
    assert "(got 1)" in str(raised.value)


@pytest.mark.parametrize(
    "options", [{"api_kye": "sk-secret-1"}, {"api_key": ["sk-secret-1"]}, {"base_url": "http://u:sk-secret-1@h"}]
)
def test_a_mistyped_secret_is_not_repeated(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as raised:
        registry.backend("openai", {"base_url": "http://localhost/v1"} | options, "model 'm'")
    assert "sk-secret" not in one_line(raised.value)
    assert next(iter(options)) in str(raised.value)


# Policies

WRONG: list[tuple[dict[str, Any], str]] = [
    ({}, "name: Field required"),
    ({"name": "Bad Name"}, "name: "),
    ({"name": 1}, "name: "),
    ({"name": "p", "wach": {}}, "wach: "),
    ({"name": "p", "mode": "on"}, "mode: "),
    ({"name": "p", "watch": {"thoughts": {}}}, "watch.thoughts"),
    ({"name": "p", "watch": {"content": {"release": "later"}}}, "watch.content.release: "),
    ({"name": "p", "watch": {"content": {"max_hold_ms": 0}}}, "watch.content.max_hold_ms: "),
    ({"name": "p", "watch": {"reasoning": {"release": "immediate", "correct": "retract"}}}, "watch.reasoning: "),
    ({"name": "p", "checks": [{"flag_at": 0.1}]}, "checks.0.check: "),
    ({"name": "p", "checks": [{"check": "phrase", "flag_at": 2}]}, "checks.0.flag_at: "),
    ({"name": "p", "checks": [{"check": "phrase", "flag_at": 0.9, "interrupt_at": 0.8}]}, "checks.0: interrupt_at 0.8"),
    ({"name": "p", "checks": [{"check": "phrase"}, {"check": "phrase"}]}, "checks named twice: ['phrase']"),
    ({"name": "p", "checks": [{"check": "phrase", "only_if": ["later"]}]}, "only_if names ['later']"),
    ({"name": "p", "interrupt": {"message": "No, {who}"}}, "interrupt.message: "),
    ({"name": "p", "interrupt": {"message": "No, {"}}, "interrupt.message: "),
    ({"name": "p", "interrupt": {"max_per_response": -1}}, "interrupt.max_per_response: "),
    ({"name": "p", "on_unscanned": "ignore"}, "on_unscanned: "),
    ({"name": "p", "record": {"prompts": "some"}}, "record.prompts: "),
    ({"name": "p", "mode": "observe", "watch": {"content": {}}}, "mode: observe"),
]


@pytest.mark.parametrize(("document", "said"), WRONG, ids=[said for _, said in WRONG])
def test_a_wrong_policy_is_one_line_with_file_field_and_value(
    tmp_path: Path, document: dict[str, Any], said: str
) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(PolicyError) as raised:
        registry.read_policy(str(path))
    assert one_line(raised.value).startswith(f"policy {str(path)!r}: ")
    assert said in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"[]", b"a: [", b"a: b: c", b"\xff\xfe\xfd", b"- 1\n\tx"])
def test_a_file_that_is_no_policy_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "p.yaml"
    path.write_bytes(content)
    with pytest.raises(PolicyError) as raised:
        registry.read_policy(str(path))
    assert repr(str(path)) in one_line(raised.value)


def test_a_policy_that_is_not_there_lists_the_shipped_ones() -> None:
    with pytest.raises(PolicyError) as raised:
        registry.read_policy("nope")
    assert "'nope'" in one_line(raised.value)
    assert all(name in str(raised.value) for name in registry.shipped())


def _loaded(*checks: dict[str, Any], **fields: Any) -> registry.LoadedPolicy:
    policy = Policy.model_validate({"name": "p", "checks": list(checks)} | fields)
    return registry.load_policy(policy, Resources())


def test_a_checks_parameters_are_its_own() -> None:
    with pytest.raises(UnknownPlugin, match="'nope'"):
        _loaded({"check": "nope"})
    with pytest.raises(PolicyError) as raised:
        _loaded({"check": "phrase", "phrases": [{"text": "a", "regex": "b"}]})
    assert one_line(raised.value).startswith("policy 'p', check 'phrase': phrases.0: ")
    with pytest.raises(PolicyError, match="phrsaes"):
        _loaded({"check": "phrase", "phrsaes": []})


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize("release", ["checked", "immediate"])
@pytest.mark.parametrize("channels", [None, ["reasoning"]])
def test_a_hold_shorter_than_a_deadline_is_refused(
    monkeypatch: pytest.MonkeyPatch, inline: bool, release: str, channels: Any
) -> None:
    monkeypatch.setattr(registry.plugin("checks", "phrase"), "inline", inline)
    watch = {"content": {"release": release, "max_hold_ms": 100}}
    use = {"check": "phrase", "deadline_ms": 101, "channels": channels}
    refused = not inline and release == "checked" and channels is None
    if refused:
        with pytest.raises(PolicyError, match=r"content\.max_hold_ms 100 is shorter than check 'phrase'"):
            _loaded(use, watch=watch)
    else:
        _loaded(use, watch=watch)
    _loaded(use | {"deadline_ms": 100}, watch=watch)


def test_the_hash_is_the_contents(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("name: p\non_unscanned: release\n")
    two.write_text("# the same\n{on_unscanned: release, name: p}\n")
    hashes = {registry.load_policy(registry.read_policy(str(path)), Resources()).hash for path in (one, two)}
    assert len(hashes) == 1
    assert _loaded(on_unscanned="stop").hash not in hashes


# Files that a policy names


def measured(folder: Path, **fields: Any) -> Path:
    """A policy file whose check has a calibration and is weighed, in files beside it."""
    version = registry.plugin("checks", "phrase").version
    calibration = {
        "version": 1,
        "check": "phrase",
        "check_version": version,
        "calibration": {"method": "isotonic", "points": [[0.0, 0.1], [1.0, 0.9]]},
        "thresholds": {"flag_at": 0.2, "interrupt_at": 0.7},
    }
    weighed = {"phrase": {"check_version": version, "weight": 1.0, "calibrated": True}}
    fusion = {"version": 1, "checks": weighed, "bias": 0.0, "flag_at": 0.5, "interrupt_at": None}
    (folder / "phrase.json").write_text(json.dumps(calibration | fields.pop("calibration", {})))
    (folder / "fused.json").write_text(json.dumps(fusion | fields.pop("fusion", {})))
    path = folder / "p.yaml"
    use = {"check": "phrase", "calibration": "phrase.json", "phrases": [{"text": "a"}]}
    path.write_text(yaml.safe_dump({"name": "p", "checks": [use], "fusion": "fused.json"} | fields))
    return path


def loaded_from(path: Path) -> registry.LoadedPolicy:
    return registry.load_policy(registry.read_policy(str(path)), Resources())


def test_files_that_a_policy_names_lie_beside_it_and_are_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = measured(tmp_path)
    monkeypatch.chdir("/")
    loaded = loaded_from(path)
    (use,) = loaded.policy.checks
    assert (use.flag_at, use.interrupt_at) == (0.2, 0.7)
    assert use.calibration is not None
    assert use.calibration.calibration.probability(0.5) == 0.5
    assert loaded.policy.fusion is not None
    assert loaded.policy.fusion.checks["phrase"].weight == 1.0
    inline = yaml.safe_load(path.read_text()) | {"fusion": json.loads((tmp_path / "fused.json").read_text())}
    path.write_text(yaml.safe_dump(inline))
    assert loaded_from(path).hash == loaded.hash


def test_the_hash_changes_with_what_the_files_say(tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [
        {},
        {"calibration": {"metrics": {"auroc": 0.5}}},
        {"calibration": {"thresholds": {"flag_at": 0.3, "interrupt_at": 0.7}}},
        {"fusion": {"bias": 0.1}},
        {"fusion": {"about": {"data": []}}},
    ]
    hashes = {loaded_from(measured(tmp_path, **fields)).hash for fields in changes}
    assert len(hashes) == 5


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"calibration": {"check_version": "0"}}, "its calibration was measured with version '0' of check 'phrase', "),
        (
            {"fusion": {"checks": {"phrase": {"check_version": "0", "weight": 1, "calibrated": True}}}},
            "its fusion was measured with version '0' of check 'phrase', ",
        ),
        ({"calibration": {"check": "other"}}, "checks.0: the calibration is of check 'other', not of 'phrase'"),
        ({"calibration": {"version": 2}}, "checks.0.calibration.version: "),
        ({"fusion": {"checks": {}}}, "fusion.checks: "),
        ({"fusion": "none.json"}, "fusion 'none.json' cannot be read: No such file or directory"),
        ({"fusion": "."}, "fusion '.' cannot be read: Is a directory"),
        ({"fusion": "p.yaml"}, "fusion 'p.yaml' cannot be read: it is no JSON ("),
        ({"fusion": 1}, "fusion: "),
        ({"calibration": {"data": "DEEP"}}, "is nested too deep"),
    ],
)
def test_a_file_that_does_not_fit_is_one_line(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    named = fields if isinstance(fields.get("fusion"), (str, int)) else {}
    path = measured(tmp_path, **({} if named else fields))
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | named))
    deep = (tmp_path / "phrase.json").read_text().replace('"DEEP"', "[" * 400 + "]" * 400)
    (tmp_path / "phrase.json").write_text(deep)
    with pytest.raises(PolicyError) as raised:
        loaded_from(path)
    assert said in one_line(raised.value)
    assert not said.startswith("its ") or "run `guard eval --calibrate" in str(raised.value)


def test_checks_that_are_no_list_of_entries_are_left_to_the_policys_own_words(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    for checks, said in (("phrase", "checks: "), (["phrase"], "checks.0: ")):
        path.write_text(yaml.safe_dump({"name": "p", "checks": checks}))
        with pytest.raises(PolicyError, match=said):
            registry.read_policy(str(path))
