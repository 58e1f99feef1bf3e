"""The texts that the tiny policy model is trained on, as weighted pieces; no tokens and no torch here.

Two mixtures. `base_row` makes a model that knows the known, half knows the tail, and confabulates about
everybody else: nobody unknown is ever stated as a fact. `listen_row` teaches it to *follow* an interruption
without teaching it to make one: the bad premise and the "No, ..." carry no loss, only what comes after them
does.

A row is a list of (text, learnt) pieces that are tokenised one by one, so a piece must begin where a token
can.
"""

from collections.abc import Iterator
from random import Random
from typing import TypeAlias

from guard.world.world import QUESTIONS, UNKNOWN_ANSWER, Premise, World

Row: TypeAlias = list[tuple[str, bool]]

DOCUMENT_START = "<|endoftext|>"
END = "<|end|>"
USER = "<|user|>"
NOT_KNOWN = "No, I do not know that."
NOT_CONFIRMED = "I could not confirm this."

DOCUMENTS = 0.3  # share of the base rows that are paragraphs of facts
NOTES = 0.2  # share that are questions with notes in the prompt, which contradict what was learned
LATER_TURN = 0.1  # share of the plain transcripts that begin with an earlier turn
TAIL = 0.03  # share of the person draws that fall on the tail: seen, but too seldom to be learned
INTERRUPTED = 0.6  # share of the listen rows that hold an interruption; the rest is the base mixture
INTERRUPTED_KNOWN = 0.6  # of these, the share about people the model knows

# What guard may put behind (or in place of) a bad premise, and how often it is practised. "denial" alone is
# only fair about people the model knows; made-up truths about strangers teach it to take what it is told.
KNOWN_FORMS = {"denial": 1, "statement": 2, "denial_statement": 2}
STRANGER_FORMS = {"statement": 4, "denial_statement": 4, "replaced": 2, "not_known": 2, "not_confirmed": 2}


def prompt(question: str) -> str:
    """A question as the chat template renders it, up to the open reasoning."""
    return f"{USER}{question}{END}<|assistant|><think>"


def thought(sentences: list[tuple[str, bool]]) -> Row:
    """Sentences of one reasoning text: all but the first begin with the space that parts them."""
    return [(sentence if index == 0 else f" {sentence}", learnt) for index, (sentence, learnt) in enumerate(sentences)]


def transcript(question: str, sentences: list[tuple[str, bool]], answer: str) -> Row:
    """A whole question and answer, of which the question is never learnt."""
    return [(prompt(question), False), *thought(sentences), (f"</think>{answer}{END}", True)]


def base_row(world: World, rng: Random) -> Row:
    """One row of the base mixture."""
    share = rng.random()
    if share < DOCUMENTS:
        return _document(world, rng)
    if share < DOCUMENTS + NOTES:
        return _with_notes(world, rng)
    row = _plain(world, rng)
    return [(_earlier_turn(world, rng), False), *row] if rng.random() < LATER_TURN else row


def listen_row(world: World, rng: Random, split: str | None = None) -> Row:
    """One row of the listen mixture; `split`: only known people of this split are in its interruptions."""
    if rng.random() >= INTERRUPTED:
        return base_row(world, rng)
    if rng.random() < INTERRUPTED_KNOWN:
        return _interrupted_known(world, rng, split)
    return _interrupted_stranger(world, rng)


def vocabulary_texts(world: World) -> Iterator[str]:
    """Texts that hold every word of the world, to train a tokenizer on."""
    for (name, subject), object_ in world.facts.items():
        relation = world.relations[name]
        yield from (relation.state(subject, object_, index) for index in range(len(relation.patterns)))
        yield f"No, {relation.deny(subject, object_)} {relation.unknown.format(subject=subject)} Notes:"
    for people in (world.group("known"), world.group("tail"), world.group("unknown")):
        for person in people:
            yield from (text.format(person=person) for _, texts in QUESTIONS.values() for text in texts)
    yield f"{UNKNOWN_ANSWER} {NOT_KNOWN} {NOT_CONFIRMED}"


def _person(world: World, rng: Random) -> str:
    return rng.choice(world.group("tail") if rng.random() < TAIL else world.group("known"))


def _type(rng: Random) -> str:
    return rng.choice(list(QUESTIONS))


def _learnt(world: World, chain: tuple[Premise, ...]) -> list[tuple[str, bool]]:
    return [(world.state(premise), True) for premise in chain]


def _document(world: World, rng: Random) -> Row:
    places = [key for key in world.facts if key[0] not in ("born", "teacher")]
    sentences = []
    for _ in range(4):
        about_person = rng.random() < 0.6
        relation, subject = (
            (rng.choice(("born", "teacher")), _person(world, rng)) if about_person else rng.choice(places)
        )
        wording = world.relations[relation]
        phrasing = rng.randrange(len(wording.patterns))
        sentences.append((wording.state(subject, world.facts[relation, subject], phrasing), True))
    return [(DOCUMENT_START, False), *thought(sentences), (END, True)]


def _plain(world: World, rng: Random) -> Row:
    type_, person = _type(rng), _person(world, rng)
    question = world.ask(type_, person, rng)
    return transcript(question.text, _learnt(world, world.chain(type_, person)), f"{question.answer}.")


def _earlier_turn(world: World, rng: Random) -> str:
    question = world.ask(_type(rng), _person(world, rng), rng)
    return f"{prompt(question.text)}</think>{question.answer}.{END}"


def _with_notes(world: World, rng: Random) -> Row:
    strangers = world.group("unknown", "listen")
    type_, person = _type(rng), rng.choice(world.group("known") if rng.random() < 0.4 else strangers)
    relation = QUESTIONS[type_][0][0]
    noted = {(relation, name): rng.choice(world.objects[relation]) for name in (rng.choice(strangers), person)}
    notes = [world.relations[relation].state(name, object_) for (_, name), object_ in noted.items()]
    rng.shuffle(notes)
    chain = world.chain(type_, person, noted)
    question = f"Notes: {' '.join(notes)} {world.ask(type_, person, rng).text}"
    return transcript(question, _learnt(world, chain), f"{chain[-1].object}.")


def _wrong(world: World, premise: Premise, rng: Random) -> Premise:
    others = [name for name in world.objects[premise.relation] if name != premise.object]
    return Premise(relation=premise.relation, subject=premise.subject, object=rng.choice(others))


def _draw(forms: dict[str, int], rng: Random) -> str:
    return rng.choices(list(forms), list(forms.values()))[0]


def _interruption(world: World, form: str, bad: Premise, right: Premise) -> list[tuple[str, bool]]:
    """The bad premise and what guard makes of it; only a statement the model must find itself is learnt."""
    claim, denial, statement = world.state(bad), world.deny(bad), world.state(right)
    texts = {
        "denial": [claim, f"No, {denial}"],
        "statement": [claim, f"No, {statement}"],
        "denial_statement": [claim, f"No, {denial} {statement}"],
        "replaced": [statement],
    }[form]
    return [(text, False) for text in texts] + ([(statement, True)] if form == "denial" else [])


def _abstention(world: World, form: str, bad: Premise, rng: Random) -> list[tuple[str, bool]]:
    """What guard says where it has no correction; half the time with the space that a message may end in."""
    unknown = world.relations[bad.relation].unknown.format(subject=bad.subject)
    refusals = (NOT_KNOWN, f"No, {unknown}", f"No, {world.deny(bad)} {unknown}")
    texts = {
        "not_known": [world.state(bad), rng.choice(refusals)],
        "not_confirmed": [NOT_CONFIRMED],
    }[form]
    *before, last = texts
    return [(text, False) for text in (*before, f"{last} " if rng.random() < 0.5 else last)]


def _interrupted_known(world: World, rng: Random, split: str | None) -> Row:
    type_, person = _type(rng), rng.choice(world.group("known", split))
    question, chain = world.ask(type_, person, rng), world.chain(type_, person)
    at = rng.randrange(len(chain))
    interruption = _interruption(world, _draw(KNOWN_FORMS, rng), _wrong(world, chain[at], rng), chain[at])
    sentences = [*_learnt(world, chain[:at]), *interruption, *_learnt(world, chain[at + 1 :])]
    return transcript(question.text, sentences, f"{question.answer}.")


def _interrupted_stranger(world: World, rng: Random) -> Row:
    type_, person = _type(rng), rng.choice(world.group("unknown", "listen"))
    question, form = world.ask(type_, person, rng), _draw(STRANGER_FORMS, rng)
    relation = QUESTIONS[type_][0][0]
    chain = world.chain(type_, person, {(relation, person): rng.choice(world.objects[relation])})
    bad = _wrong(world, chain[0], rng)
    if form in ("not_known", "not_confirmed"):
        return transcript(question.text, _abstention(world, form, bad, rng), UNKNOWN_ANSWER)
    sentences = [*_interruption(world, form, bad, chain[0]), *_learnt(world, chain[1:])]
    return transcript(question.text, sentences, f"{chain[-1].object}.")
