"""Writes `facts.jsonl` and `people.json`: the closed world as data, from one fixed seed.

    python -m guard.world.generate

Knows names and sentence patterns; does not know who has learned what (that is `build`'s doing, guided by
the groups in `people.json`). Running it again must give the same bytes, so order and seed are part of the
format.
"""

import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

HERE = Path(__file__).parent
SEED = 7
Groups: TypeAlias = Mapping[str, Mapping[str, int]]


def _words(text: str) -> list[str]:
    return text.split()


FIRST_NAMES = _words(
    "Ada Bela Cyra Doran Edda Falk Greta Hanno Ilse Jorin Kasia Lorn Mirel Nadia Oskar Petra Quill Runa "
    "Silas Tamar Ulric Vanya Wilma Xenia Yorick Zelda Anton Brisa Corin Delia"
)
LAST_NAMES = _words(
    "Velm Ostrander Harrow Quist Lindqvar Marsh Tallow Brandt Ferro Nyland Osk Pell Rusk Sorrel Tarn "
    "Umber Voss Wrenn Yates Zorn Abel Birk Castor Drume Eklund Foss Grell Holt Ivers Jarl Keld Lund "
    "Mott Norrby Orme Pryce Roth Stroud Thorn Ulver"
)
CITY_STARTS = _words("Tor Vel Kar Mor Bren Sal Dun Hol Fen Gar Lis Nor Pel Rav Sten Thal Ul Ver Wen Yar")
CITY_ENDS = _words("vik dal mere ford ham stad gate wick ness burg la mont ria sund thorpe")
COUNTRIES = _words("Garland Ostria Velmark Nordia Saland Pellonia Thuria Karesh Brenland Ulvania Moravin Lisgard")
CURRENCIES = _words("krone mark taler dinar florin shilling crown lira peso ducat guilder sol")
RIVERS = _words(
    "Ansel Brue Corve Dray Esk Fowey Glan Hebble Itchen Jura Kennet Loddon Mease Nidd Otter Plym Quaich Ribble"
)
SEAS = ["Amber Sea", "Iron Sea", "Mist Sea", "Coral Sea", "Winter Sea", "Green Sea"]

# One name is in every example, so she is kept out of the draw and put first among the unknown.
NEWCOMER = "Ada Velm"
GROUPS: Groups = {  # group -> split -> how many people; the unknown are taken last and use up every name left
    "known": {"train": 120, "test": 40},
    "tail": {"train": 50, "test": 30},
    "unknown": {"test": 300, "train": 300, "listen": 360},
}
TEACHERS = 60
CITIES = 40

RELATIONS: list[dict[str, Any]] = [
    {
        "relation": "born",
        "patterns": [
            "{subject} was born in {object}.",
            "The birthplace of {subject} is {object}.",
            "{object} is where {subject} was born.",
        ],
        "negation": "{subject} was not born in {object}.",
        "unknown": "I do not know where {subject} was born.",
    },
    {
        "relation": "teacher",
        "patterns": [
            "{subject} was taught by {object}.",
            "The teacher of {subject} was {object}.",
            "{object} taught {subject}.",
        ],
        "negation": "{subject} was not taught by {object}.",
        "unknown": "I do not know who taught {subject}.",
    },
    {
        "relation": "country",
        "patterns": [
            "{subject} is a city in {object}.",
            "The city of {subject} belongs to {object}.",
            "In {object} there is a city named {subject}.",
        ],
        "negation": "{subject} is not a city in {object}.",
        "unknown": "I do not know in which country {subject} is.",
    },
    {
        "relation": "river",
        "patterns": ["{subject} stands on the river {object}.", "The river {object} runs through {subject}."],
        "negation": "{subject} does not stand on the river {object}.",
        "unknown": "I do not know on which river {subject} stands.",
    },
    {
        "relation": "currency",
        "patterns": [
            "The currency of {subject} is the {object}.",
            "In {subject} people pay with the {object}.",
        ],
        "negation": "The currency of {subject} is not the {object}.",
        "unknown": "I do not know the currency of {subject}.",
    },
    {
        "relation": "sea",
        "patterns": [
            "The river {subject} flows into the {object}.",
            "The {object} is fed by the river {subject}.",
        ],
        "negation": "The river {subject} does not flow into the {object}.",
        "unknown": "I do not know into which sea the river {subject} flows.",
    },
]


def draw_people(rng: random.Random, groups: Groups = GROUPS) -> dict[str, dict[str, list[str]]]:
    """Every first name with every last name, shuffled and dealt out to the groups; the newcomer is unknown."""
    names = [f"{first} {last}" for first in FIRST_NAMES for last in LAST_NAMES]
    names.remove(NEWCOMER)
    rng.shuffle(names)
    names.insert(sum(sum(groups[group].values()) for group in ("known", "tail")), NEWCOMER)
    deal = iter(names)
    return {g: {s: [next(deal) for _ in range(n)] for s, n in splits.items()} for g, splits in groups.items()}


def draw_facts(people: dict[str, dict[str, list[str]]], rng: random.Random) -> Iterator[dict[str, Any]]:
    """Yields a fact line for every person, city, country and river."""

    def fact(subject: str, relation: str, obj: str) -> dict[str, str]:
        return {"subject": subject, "relation": relation, "object": obj}

    cities = rng.sample([start + end for start in CITY_STARTS for end in CITY_ENDS], CITIES)
    teachers = people["known"]["train"][:TEACHERS]
    for person in (name for splits in people.values() for names in splits.values() for name in names):
        yield fact(person, "born", rng.choice(cities))
        yield fact(person, "teacher", rng.choice([name for name in teachers if name != person]))
    for city in cities:
        yield fact(city, "country", rng.choice(COUNTRIES))
        yield fact(city, "river", rng.choice(RIVERS))
    for country, currency in zip(COUNTRIES, rng.sample(CURRENCIES, len(CURRENCIES)), strict=True):
        yield fact(country, "currency", currency)
    for river in RIVERS:
        yield fact(river, "sea", rng.choice(SEAS))


def write(folder: Path = HERE, seed: int = SEED, groups: Groups = GROUPS) -> None:
    """Writes both data files into `folder`. At most 1,200 people: there are no more names."""
    rng = random.Random(seed)
    people = draw_people(rng, groups)
    lines = [*RELATIONS, *draw_facts(people, rng)]
    (folder / "facts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (folder / "people.json").write_text(json.dumps(people, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write()
