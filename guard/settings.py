"""guard.yaml and the environment, validated.

Everything that can be set is here; nothing is read anywhere else. Secrets are named (`api_key_env`), never written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from guard.backends import Seconds, Timeouts
from guard.errors import ConfigError
from guard.registry import first_error, shipped

WORLD = Path(__file__).parent / "world"
"""The built-in world: its facts and its tiny policy model."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Name = Annotated[str, Field(min_length=1, pattern=r"^[^@\s]+$")]


class BackendEntry(_Model):
    """A model and how it is reached. What is not named here is the backend's own and validated by it."""

    backend: str = "openai"
    options: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather_options(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or "options" in data:
            return data
        own = {k: v for k, v in data.items() if k in cls.model_fields}
        return own | {"options": {k: v for k, v in data.items() if k not in cls.model_fields}}


class ModelEntry(BackendEntry):
    """A model that clients may ask for.

    `aliases` are other names for it. The name `*` stands for every name that no other entry bears; the upstream is then
    asked for the model that the client named.
    """

    name: Name
    aliases: tuple[Name, ...] = ()
    policy: str | None = None


class SupervisorEntry(BackendEntry):
    """The model that judges, for checks that ask one.

    `at_once`: how many calls may be open at a time; others wait their turn, within their check's deadline. `request`:
    fields that every call to it carries besides (`chat_template_kwargs: {enable_thinking: false}`); null leaves one out
    (`max_tokens: null, max_completion_tokens: 400`, where a server knows only the newer name).
    """

    at_once: Annotated[int, Field(gt=0)] = 8
    request: Mapping[str, Any] = Field(default_factory=dict)


_Entry = TypeVar("_Entry", bound=BackendEntry)


class Policies(_Model):
    """Which policy is used when a request names none, and which ones it may name (names or files)."""

    default: str = "default"
    allowed: tuple[str, ...] = ("default", "observe", "strict", "retract", "off")


class Redaction(_Model):
    """What a library finds in texts of `record.prompts: redacted`, beyond guard's own patterns.

    `entities`: what is looked for, in the library's words (PERSON, PHONE_NUMBER, ...); null: all that it finds of a
    person. `model`: an installed spaCy package or a folder, which finds names and places; without one only what has a
    form is found. `min_score`: how sure the library must be.
    """

    library: Literal["presidio"]
    entities: Annotated[tuple[Annotated[str, Field(pattern="^[A-Z][A-Z0-9_]*$")], ...], Field(min_length=1)] | None = (
        None
    )
    languages: Annotated[tuple[Annotated[str, Field(pattern="^[a-z]{2,3}$")], ...], Field(min_length=1)] = ("en",)
    model: Annotated[str, Field(min_length=1)] | None = None
    min_score: Annotated[float, Field(ge=0, le=1)] = 0.5


class OwnPattern(_Model):
    """A form of your own that is redacted: `<NAME_1>` stands for what `regex` matches."""

    name: Annotated[str, Field(pattern="^[A-Z][A-Z0-9_]{0,31}$")]
    regex: str

    @field_validator("regex")
    @classmethod
    def _is_a_pattern(cls, value: str) -> str:
        try:
            pattern = re.compile(value)
        except re.error as error:
            raise ValueError(f"{value!r} is no regular expression: {error}") from None
        if any(match[0] == "" for sample in ("", "a 0-") for match in pattern.finditer(sample)):
            raise ValueError(f"{value!r} matches the empty text, thus everywhere; name at least one character")
        return value


class StoreSettings(_Model):
    """Where the log is kept, and for how long; a retention of 0 keeps everything.

    `redaction` and `patterns` say what else leaves the texts of policies whose `record.prompts` is `redacted`.
    """

    url: str = "sqlite:///guard.db"
    retention_days: Annotated[int, Field(ge=0)] = 90
    redaction: Redaction | None = None
    patterns: tuple[OwnPattern, ...] = ()


class ServerSettings(_Model):
    """The address, and who may use it.

    `client_keys_file` holds one key a line; with it, Authorization is guard's and never goes upstream. The admin key
    opens `/guard/*` beyond loopback; it is read from the environment variable named here. `keep_alive_s`: how long a
    stream may be silent before a comment is sent. `forward`: what else is asked for under /v1 goes to the upstream as
    it is. `auto`: everything, but where the upstream's key is guard's own only what computes (embeddings, audio,
    images, ...), not what the key's account keeps. `none`: 404.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8900
    client_keys_file: Path | None = None
    admin_key_env: str = "GUARD_ADMIN_KEY"
    cors: tuple[str, ...] = ()
    max_body_mb: Annotated[float, Field(gt=0)] = 32.0
    keep_alive_s: Annotated[float, Field(gt=0)] = 10.0
    forward: Literal["auto", "all", "none"] = "auto"


class MetricsSettings(_Model):
    """`buckets_s`: upper bounds of `guard_held_seconds`, in seconds and rising; null: from 0.1 ms to 10 s."""

    buckets_s: Annotated[tuple[Seconds, ...], Field(min_length=1)] | None = None


class TracingSettings(_Model):
    """`otlp`: base URL of a collector of traces (OTLP over HTTP); null: none, unless the variables OTEL_* name one."""

    otlp: Annotated[str, Field(pattern=r"^https?://[^\s/]+")] | None = None


class Settings(_Model):
    """A whole guard.yaml."""

    models: Annotated[tuple[ModelEntry, ...], Field(min_length=1)]
    default_model: str | None = None
    """The name or alias of the model that answers requests for a model that is not served here."""
    supervisor: SupervisorEntry | None = None
    facts: tuple[Path, ...] = ()
    policies: Policies = Policies()
    store: StoreSettings = StoreSettings()
    server: ServerSettings = ServerSettings()
    metrics: MetricsSettings = MetricsSettings()
    tracing: TracingSettings = TracingSettings()
    timeouts: Timeouts = Timeouts()
    """For every backend that has an upstream to wait for; a model's own `timeouts` win over it, one by one."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [name for entry in self.models for name in (entry.name, *entry.aliases)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"models named twice: {twice!r}")
        if self.default_model is not None and self.default_model not in names:
            raise ValueError(f"default_model {self.default_model!r} is none of the models: {', '.join(names)}")
        return self


def built_in(**changes: Any) -> Settings:
    """The configuration of a server that nobody configured: the built-in model, its world's facts, SQLite."""
    model = ModelEntry(name="guard-world", backend="transformers", options={"model": str(WORLD / "model")})
    return validated({"models": [model], "facts": [WORLD / "facts.jsonl"]} | changes, "the built-in settings")


def validated(document: Any, where: str) -> Settings:
    """Settings from a document; `where` names its source in errors. Raises ConfigError, one line."""
    try:
        return Settings.model_validate(document)
    except ValidationError as error:
        raise ConfigError(f"{where}: {first_error(error)}") from None


def read_settings(path: Path) -> Settings:
    """A guard.yaml. Files that it names are relative to its folder. Raises ConfigError, one line."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        settings = validated(document, repr(str(path)))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{str(path)!r} cannot be read: {' '.join(str(error).split())}") from None
    return _placed(settings, path.parent)


def _placed(settings: Settings, folder: Path) -> Settings:
    """The settings with their files where the file that names them is. A store's URL is SQLAlchemy's, not a path."""
    keys = settings.server.client_keys_file
    server = settings.server.model_copy(update={"client_keys_file": keys and folder / keys})
    policies = Policies(
        default=_policy(settings.policies.default, folder),
        allowed=tuple(_policy(name, folder) for name in settings.policies.allowed),
    )
    return settings.model_copy(
        update={
            "store": _placed_store(settings.store, folder),
            "facts": tuple(folder / fact for fact in settings.facts),
            "models": tuple(_placed_model(entry, folder) for entry in settings.models),
            "supervisor": settings.supervisor and _placed_options(settings.supervisor, folder),
            "policies": policies,
            "server": server,
        }
    )


def _placed_store(store: StoreSettings, folder: Path) -> StoreSettings:
    redaction = store.redaction
    if redaction is None or redaction.model is None or not redaction.model.startswith(("./", "../")):
        return store
    placed = redaction.model_copy(update={"model": str(folder / redaction.model)})
    return store.model_copy(update={"redaction": placed})


def _placed_model(entry: ModelEntry, folder: Path) -> ModelEntry:
    policy = entry.policy and _policy(entry.policy, folder)
    return _placed_options(entry, folder).model_copy(update={"policy": policy})


def _placed_options(entry: _Entry, folder: Path) -> _Entry:
    """A script and a probe are files; a model or a tokenizer is one where it says so (`./`, `../`), else it may be a
    hub's name."""
    options = dict(entry.options)
    for name in ("script", "probe", "model", "tokenizer"):
        value = options.get(name)
        if isinstance(value, str) and (name in ("script", "probe") or value.startswith(("./", "../"))):
            options[name] = str(folder / value)
    return entry.model_copy(update={"options": options})


def _policy(name: str, folder: Path) -> str:
    return str(folder / name) if name not in shipped() and (folder / name).is_file() else name
