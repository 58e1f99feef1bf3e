"""presidio-analyzer, as `people` asks it. Imported only where the settings name it.

Nothing is fetched: a spaCy model is installed, a folder, or left out; addresses are known by their form, not by a list
of domains.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import spacy
from presidio_analyzer import AnalyzerEngine, PatternRecognizer, RecognizerRegistry, pattern_recognizer
from presidio_analyzer.nlp_engine import SpacyNlpEngine
from presidio_analyzer.predefined_recognizers import EmailRecognizer

from guard.errors import ConfigError
from guard.settings import Redaction
from guard.store.redactor import Hit

# It tells of every recogniser of another language, and of labels in every text.
logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)

_UNASKED = frozenset({"DATE_TIME", "IP_ADDRESS", "NRP", "ORGANIZATION", "URL", "UUID"})
"""Looked for only where `entities` names them: not a person's, and far more often what a statement is about. Addresses
guard finds itself, and does not take the slice ``a[::2]`` for one."""

_KINDS = {
    "CREDIT_CARD": "CARD",
    "EMAIL_ADDRESS": "EMAIL",
    "IBAN_CODE": "IBAN",
    "IP_ADDRESS": "IP",
    "PHONE_NUMBER": "PHONE",
    "US_SSN": "ID",
}
"""Where guard's own patterns have a word for it, a value has one placeholder whoever finds it."""


class Presidio:
    """presidio-analyzer: each of its `languages` looks at every text. `wanted` are entities by language."""

    def __init__(self, engine: Any, wanted: dict[str, list[str]], min_score: float) -> None:
        self._engine = engine
        self._wanted = wanted
        self._min_score = min_score

    def __call__(self, text: str) -> list[Hit]:
        """What it finds. Raises whatever it raises, and TimeoutError where it gave up on a pattern."""
        # A lone surrogate is no text to spaCy; one character for another, so that offsets hold.
        readable = text.encode("utf-8", "replace").decode()
        begun = time.monotonic()
        found = [hit for language, entities in self._wanted.items() for hit in self._in(readable, language, entities)]
        # A pattern that runs out of time is skipped without a word to the caller.
        if time.monotonic() - begun >= pattern_recognizer.REGEX_TIMEOUT_SECONDS:
            raise TimeoutError
        return [(hit.start, hit.end, _KINDS.get(hit.entity_type, hit.entity_type)) for hit in found]

    def _in(self, text: str, language: str, entities: list[str]) -> list[Any]:
        found: list[Any] = self._engine.analyze(
            text=text, language=language, entities=entities, score_threshold=self._min_score
        )
        return found


def load(settings: Redaction) -> Presidio:
    """The analyzer for these settings. Raises ConfigError."""
    pipelines = _pipelines(settings)
    named = {language for language, nlp in pipelines.items() if _finds_names(nlp)}
    engine = SpacyNlpEngine()
    engine.nlp = pipelines
    registry = _registry(engine, settings.languages, named)
    analyzer = AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=list(settings.languages))
    return Presidio(analyzer, _wanted(settings, registry), settings.min_score)


def _registry(engine: Any, languages: Sequence[str], named: set[str]) -> Any:
    registry = RecognizerRegistry(supported_languages=list(languages))
    registry.load_predefined_recognizers(languages=list(languages), nlp_engine=engine)
    # Its own one would fetch a list of the world's domains; the form is enough.
    registry.remove_recognizer("EmailRecognizer")
    for language in languages:
        registry.add_recognizer(
            PatternRecognizer("EMAIL_ADDRESS", patterns=list(EmailRecognizer.PATTERNS), supported_language=language)
        )
        if language not in named:
            registry.remove_recognizer("SpacyRecognizer", language)
    return registry


def _wanted(settings: Redaction, registry: Any) -> dict[str, list[str]]:
    there: dict[str, set[str]] = {language: set() for language in settings.languages}
    for recognizer in registry.recognizers:
        there[recognizer.supported_language].update(recognizer.supported_entities)
    every = set().union(*there.values())
    for entity in settings.entities or ():
        if entity not in every:
            hint = "" if settings.model else "; names and places need store.redaction.model"
            raise ConfigError(
                f"store.redaction.entities: {entity!r} is not found in {', '.join(settings.languages)}; "
                f"there are {', '.join(sorted(every))}{hint}"
            )
    chosen = set(settings.entities or every - _UNASKED)
    wanted = {language: sorted(chosen & found) for language, found in there.items()}
    return {language: entities for language, entities in wanted.items() if entities}


def _pipelines(settings: Redaction) -> dict[str, Any]:
    """The spaCy pipeline of each language: the model where it speaks it, else one that only parts words."""
    model = settings.model and _model(settings.model)
    if model and model.lang not in (*settings.languages, "xx"):
        raise ConfigError(
            f"store.redaction.model {settings.model!r} speaks {model.lang!r}; add it to store.redaction.languages"
        )
    pipelines = {
        language: model if model and model.lang in (language, "xx") else _blank(language)
        for language in settings.languages
    }
    spacy.Language.component("guard_lemmas", func=_with_lemmas)
    for nlp in pipelines.values():
        if "guard_lemmas" not in nlp.pipe_names:
            nlp.add_pipe("guard_lemmas")
    return pipelines


def _with_lemmas(doc: Any) -> Any:
    """The library weighs the words around a number by their lemmas; a pipeline without any gets the words."""
    for token in doc:
        token.lemma_ = token.lemma_ or token.lower_
    return doc


def _finds_names(nlp: Any) -> bool:
    return bool({"ner", "entity_ruler"} & set(nlp.pipe_names))


def _blank(language: str) -> Any:
    try:
        return spacy.blank(language)
    except (ImportError, ValueError) as error:
        said = str(error).split("\n")[0]
        raise ConfigError(f"store.redaction.languages: spaCy cannot read {language!r}: {said}") from None


def _model(name: str) -> Any:
    if not spacy.util.is_package(name) and not (Path(name) / "config.cfg").is_file():
        raise ConfigError(
            f"store.redaction.model {name!r} is no installed spaCy package and no folder of one; nothing is fetched: "
            "`pip install` a model such as en_core_web_sm, name its folder, or leave it out"
        )
    try:
        return spacy.load(name if spacy.util.is_package(name) else Path(name))
    except Exception as error:  # noqa: BLE001 - a model's files may break in any way
        said = " ".join(str(error).split())[:200]
        raise ConfigError(f"store.redaction.model {name!r} cannot be loaded: {said}") from None
