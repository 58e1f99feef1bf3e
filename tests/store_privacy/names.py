"""A spaCy model that knows a few names and places by where they stand, trained on the spot."""

from __future__ import annotations

import random
from pathlib import Path

import spacy
from spacy.training import Example
from spacy.util import fix_random_seed

SENTENCES = [
    f"{before}{name}{between}{place}{after}"
    for (before, between, after) in (
        ("Yesterday ", " drove to ", " again."),
        ("My colleague ", " lives in ", "."),
        ("Please ask ", " about ", " first."),
    )
    for name, place in (("Anna Berg", "Paris"), ("Tom Hill", "Oslo"), ("Mary Stone", "Madrid"), ("Jane Roe", "Lima"))
]
_LABELS = {
    name: label
    for label, names in (
        ("PERSON", ("Anna Berg", "Tom Hill", "Mary Stone", "Jane Roe")),
        ("GPE", ("Paris", "Oslo", "Madrid", "Lima")),
    )
    for name in names
}


def train(folder: Path) -> Path:
    """Train a dozen sentences into `folder`, as spaCy's own files."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("ner")
    examples = [Example.from_dict(nlp.make_doc(text), {"entities": _spans(text)}) for text in SENTENCES]
    optimizer = nlp.initialize(lambda: examples)
    order = random.Random(0)
    for _ in range(20):
        order.shuffle(examples)
        nlp.update(examples, sgd=optimizer)
    nlp.to_disk(folder)
    return folder


def _spans(text: str) -> list[tuple[int, int, str]]:
    return [(text.index(name), text.index(name) + len(name), label) for name, label in _LABELS.items() if name in text]
