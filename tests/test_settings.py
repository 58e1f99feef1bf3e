"""guard.yaml: what may stand in it, and what is said about the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.errors import ConfigError
from guard.settings import WORLD, Settings, built_in, read_settings

MODEL = "models: [{name: m, backend: scripted, script: s.yaml}]\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "guard.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_whole_file(tmp_path: Path) -> None:
    text = """
models:
  - {name: q, base_url: "http://localhost:8000/v1", model: Q/Q, api_key_env: KEY, policy: strict}
  - {name: s, backend: scripted, options: {script: s.yaml}}
facts: [facts.jsonl, /abs/facts.jsonl]
policies: {default: strict, allowed: [strict]}
store: {url: "sqlite:///x.db", retention_days: 0}
server: {host: "::1", port: 0, cors: ["https://a.example"], max_body_mb: 0.5}
timeouts: {connect_s: 1}
"""
    settings = read_settings(write(tmp_path, text))
    first, second = settings.models
    assert (first.backend, first.policy) == ("openai", "strict")
    assert first.options == {"base_url": "http://localhost:8000/v1", "model": "Q/Q", "api_key_env": "KEY"}
    assert second.options == {"script": str(tmp_path / "s.yaml")}
    assert settings.facts == (tmp_path / "facts.jsonl", Path("/abs/facts.jsonl"))
    assert (settings.policies.default, settings.policies.allowed) == ("strict", ("strict",))
    assert (settings.store.url, settings.store.retention_days) == ("sqlite:///x.db", 0)
    assert (settings.server.host, settings.server.port, settings.server.max_body_mb) == ("::1", 0, 0.5)
    assert (settings.timeouts.connect_s, settings.timeouts.idle_s) == (1, 60)


def test_what_is_left_out_has_a_safe_default(tmp_path: Path) -> None:
    settings = read_settings(write(tmp_path, MODEL))
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 8900)
    assert (settings.server.client_keys_file, settings.server.cors) == (None, ())
    assert settings.policies.default == "default"
    assert settings.facts == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file: "),
        ("[]", "the file: "),
        ("models: []", "models: "),
        ("modles: []", "models: Field required"),
        ("models: [{backend: scripted}]", "models.0.name: Field required"),
        ("models: [{name: a@b}]", "models.0.name: "),
        ("models: [{name: 'a b'}]", "models.0.name: "),
        ("models: [{name: ''}]", "models.0.name: "),
        ("models: [{name: m}, {name: m}]", "models named twice: ['m']"),
        (MODEL + "server: {port: 70000}", "server.port: "),
        (MODEL + "server: {prot: 1}", "server.prot: "),
        (MODEL + "server: {max_body_mb: 0}", "server.max_body_mb: "),
        (MODEL + "store: {retention_days: -1}", "store.retention_days: "),
        (MODEL + "timeouts: {connect_s: soon}", "timeouts.connect_s: "),
        (MODEL + "polices: {}", "polices: "),
        (MODEL + "supervisor: {base_url: u, at_once: 0}", "supervisor.at_once: "),
        (MODEL + "supervisor: [1]", "supervisor: "),
        ("a: [", "cannot be read"),
        ("a: b: c", "cannot be read"),
        ("\x00", "cannot be read"),
    ],
)
def test_what_is_wrong_is_one_line_with_file_and_field(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as raised:
        read_settings(path)
    assert "\n" not in str(raised.value)
    assert str(raised.value).startswith(repr(str(path)))
    assert said in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_settings(tmp_path / "nope.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_settings(tmp_path / "latin.yaml")


def test_the_built_in_settings_are_the_built_in_world() -> None:
    settings = built_in()
    assert [model.name for model in settings.models] == ["guard-world"]
    assert settings.facts == (WORLD / "facts.jsonl",)
    assert settings.facts[0].is_file()
    assert built_in(facts=()).facts == ()


def test_settings_are_frozen() -> None:
    settings = Settings.model_validate({"models": [{"name": "m"}]})
    with pytest.raises(ValueError, match="frozen"):
        settings.timeouts = {}  # type: ignore[misc, assignment]


def test_files_are_found_beside_the_file_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: mine\n")
    text = """
models:
  - {name: s, backend: scripted, script: s.yaml, policy: mine.yaml}
  - {name: t, backend: transformers, model: ./model, tokenizer: ../tokenizer, probe: p.safetensors}
  - {name: h, backend: transformers, model: Qwen/Qwen3-8B, policy: strict}
policies: {default: mine.yaml, allowed: [strict, mine.yaml, nope.yaml]}
server: {client_keys_file: keys}
"""
    settings = read_settings(write(tmp_path, text))
    scripted, local, hub = settings.models
    assert (scripted.options, scripted.policy) == ({"script": str(tmp_path / "s.yaml")}, str(tmp_path / "mine.yaml"))
    placed = {"model": "model", "tokenizer": "../tokenizer", "probe": "p.safetensors"}
    assert local.options == {name: str(tmp_path / place) for name, place in placed.items()}
    assert (hub.options, hub.policy) == ({"model": "Qwen/Qwen3-8B"}, "strict")
    mine = str(tmp_path / "mine.yaml")
    assert (settings.policies.default, settings.policies.allowed) == (mine, ("strict", mine, "nope.yaml"))
    assert settings.server.client_keys_file == tmp_path / "keys"


def test_a_supervisor_is_a_model_without_a_name(tmp_path: Path) -> None:
    entry = '{base_url: "http://localhost:8001/v1", model: Q/Q, at_once: 2, request: {top_k: 1}}'
    supervisor = read_settings(write(tmp_path, f"{MODEL}supervisor: {entry}\n")).supervisor
    assert supervisor is not None
    assert supervisor.options == {"base_url": "http://localhost:8001/v1", "model": "Q/Q"}
    assert (supervisor.backend, supervisor.at_once, supervisor.request) == ("openai", 2, {"top_k": 1})
    script = read_settings(write(tmp_path, f"{MODEL}supervisor: {{backend: scripted, script: v.yaml}}\n")).supervisor
    assert script is not None
    assert script.options == {"script": str(tmp_path / "v.yaml")}


def test_a_misplaced_secret_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings(write(tmp_path, MODEL + "api_key: sk-very-secret\n"))
    assert "api_key" in str(caught.value)
    assert "sk-very-secret" not in str(caught.value)
