"""The documents, and the facts that can be read out of them.

    python documents.py > facts.jsonl      # whenever the documents change

Each relation names the wordings in which a document, or the model, may state it; the first one is how a correction is
worded. Reading facts out of your own documents is your part: whatever makes such lines will do.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from typing import Any

DOCUMENTS = {
    "timetable.txt": "The Halden ferry leaves from pier 4. The Moss ferry leaves from pier 7. Be there in good time.",
    "operators.txt": "The Halden ferry is run by Nordvik Lines. The Moss ferry is run by Sund Express.",
    "fares.txt": "A ticket for the Halden ferry costs 18 euros. A ticket for the Moss ferry costs 23 euros.",
    "luggage.txt": "Bicycles travel free of charge. Dogs are welcome on deck.",
}

RELATIONS: list[dict[str, Any]] = [
    {
        "relation": "pier",
        "patterns": ["{subject} leaves from pier {object}.", "{subject} departs from pier {object}."],
        "negation": "{subject} does not leave from pier {object}.",
    },
    {
        "relation": "operator",
        "patterns": ["{subject} is run by {object}.", "{subject} is operated by {object}."],
        "negation": "{subject} is not run by {object}.",
    },
    {
        "relation": "fare",
        "patterns": ["A ticket for {subject} costs {object}."],
        "negation": "a ticket for {subject} does not cost {object}.",
    },
]


def facts() -> Iterator[dict[str, str]]:
    """A fact for each sentence of a document that has one of the wordings."""
    for text in DOCUMENTS.values():
        for sentence in re.findall(r"[^.]+\.", text):
            yield from (fact for relation in RELATIONS if (fact := stated(relation, sentence.strip())))


def stated(relation: dict[str, Any], sentence: str) -> dict[str, str] | None:
    """The fact that a sentence states in one of the relation's wordings."""
    for pattern in relation["patterns"]:
        wording = re.escape(pattern).replace(r"\{subject\}", "(?P<subject>.+)").replace(r"\{object\}", "(?P<object>.+)")
        if match := re.fullmatch(wording, sentence):
            return {"subject": match["subject"], "relation": relation["relation"], "object": match["object"]}
    return None


if __name__ == "__main__":
    sys.stdout.writelines(json.dumps(line) + "\n" for line in [*RELATIONS, *facts()])
