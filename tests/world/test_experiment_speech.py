"""Answers are judged by the facts: what followed from what, what was taken back."""

from random import Random

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from guard.world.build import MODEL
from guard.world.experiment.sampling import Sampling, draw, log_probability, next_probability
from guard.world.experiment.speech import Judged, Said, Speaker, drawn_questions, first_premises, judge, other, shares
from guard.world.world import Premise, load_world

WORLD = load_world()
PERSON = WORLD.group("known", "train")[0]
QUESTION = WORLD.ask("country", PERSON, Random(0))
BORN, COUNTRY = WORLD.chain("country", PERSON)
WRONG = other(WORLD, BORN, Random(1))
ELSEWHERE = WORLD.chain("country", PERSON, {("born", PERSON): WRONG.object})


@pytest.fixture(scope="module")
def speaker() -> Speaker:
    torch.set_num_threads(1)
    model = Qwen3ForCausalLM.from_pretrained(MODEL, attn_implementation="eager").float().eval()
    return Speaker(model=model, tokenizer=PreTrainedTokenizerFast.from_pretrained(MODEL), world=WORLD)


def _judged(*sentences: str, answer: str | None, forced: Premise | None = None) -> Judged:
    return judge(WORLD, Said(question=QUESTION, forced=forced, sentences=sentences, answer=answer))


def test_a_right_answer() -> None:
    judged = _judged(WORLD.state(BORN), WORLD.state(COUNTRY), answer=QUESTION.answer)
    assert (judged.answer, judged.first_wrong, judged.follows, judged.premises) == ("right", False, None, 2)


def test_an_answer_that_follows_from_its_own_wrong_premise() -> None:
    said = [WORLD.state(premise) for premise in ELSEWHERE]
    judged = _judged(*said, answer=ELSEWHERE[-1].object)
    assert judged.first_wrong
    assert judged.follows is (True if ELSEWHERE[-1].object != QUESTION.answer else judged.follows)
    assert judged.wrong_premises == 1  # what it said of the other city is true


def test_a_wrong_premise_that_was_taken_back_is_followed_no_more() -> None:
    back = f"No, {WORLD.deny(WRONG)}"
    judged = _judged(WORLD.state(WRONG), back, WORLD.state(BORN), WORLD.state(COUNTRY), answer=QUESTION.answer)
    assert (judged.corrected, judged.false_no, judged.follows, judged.answer) == (True, False, None, "right")


def test_a_no_behind_a_right_premise_is_false() -> None:
    judged = _judged(WORLD.state(BORN), f"No, {WORLD.state(WRONG)}", answer=None)
    assert (judged.corrected, judged.false_no, judged.answer) == (False, True, "none")


def test_a_forced_premise_is_not_the_models_own() -> None:
    judged = _judged(WORLD.state(ELSEWHERE[1]), answer=ELSEWHERE[1].object, forced=WRONG)
    assert judged.premises == 1
    assert not judged.first_wrong
    assert judged.follows


def test_ignorance_is_neither_wrong_nor_unparsed() -> None:
    judged = _judged(f"I do not know where {PERSON} was born.", answer="I do not know")
    assert (judged.answer, judged.unparsed, judged.first_wrong) == ("idk", 0, None)
    assert _judged("Gibberish was.", answer="x").unparsed == 1


@settings(deadline=None)
@given(st.lists(st.sampled_from([WORLD.state(BORN), WORLD.state(WRONG), "No, not so.", "Hm."]), max_size=6))
def test_shares_are_shares(sentences: list[str]) -> None:
    found = shares([_judged(*sentences, answer=None)])
    assert all(0 <= value <= 1 for name, value in found.items() if name != "unparsed")
    assert found["right"] + found["wrong"] + found["idk"] + found["none"] == pytest.approx(1)


def test_what_shares_a_batch_does_not_matter(speaker: Speaker) -> None:
    questions = drawn_questions(WORLD, WORLD.group("known"), 12, 3)
    together = speaker.ask(questions, temperature=0)
    alone = [speaker.ask([question], temperature=0)[0] for question in questions]
    assert together == alone
    assert all(said.answer is not None for said in together)


def test_a_forced_premise_is_gone_on_from(speaker: Speaker) -> None:
    questions = drawn_questions(WORLD, WORLD.group("known", "test"), 20, 4, ("country",))
    wrong = first_premises(WORLD, questions, wrong=True, seed=1)
    judged = [judge(WORLD, said) for said in speaker.ask(questions, forced=wrong, temperature=0)]
    assert shares(judged)["follows"] > 0.8  # the built-in model believes what it reads


def test_the_same_seed_draws_the_same(speaker: Speaker) -> None:
    questions = drawn_questions(WORLD, WORLD.group("unknown", "test"), 8, 5)
    assert speaker.ask(questions, seed=3) == speaker.ask(questions, seed=3)
    assert speaker.ask(questions, seed=3) != speaker.ask(questions, seed=4)


def test_probabilities_are_those_of_one_pass_each(speaker: Speaker) -> None:
    contexts = [speaker.encode(WORLD.state(BORN)), speaker.encode("In")]
    some, rest = list(range(400)), list(range(400, len(speaker.tokenizer)))
    both = zip(
        next_probability(speaker.model, contexts, some), next_probability(speaker.model, contexts, rest), strict=True
    )
    assert all(a + b == pytest.approx(1, abs=1e-4) for a, b in both)
    text = speaker.encode(" was born")
    whole = log_probability(speaker.model, [(contexts[0], text)])[0]
    first = log_probability(speaker.model, [(contexts[0], text[:1])])[0]
    second = log_probability(speaker.model, [([*contexts[0], text[0]], text[1:])])[0]
    assert whole == pytest.approx(first + second, abs=1e-4)


def test_alternatives_are_kept_beside_each_token(speaker: Speaker) -> None:
    prompt = speaker.encode("<|user|>")
    (drawn,) = draw(speaker.model, [prompt], Sampling(ends=speaker.ends(), limit=5, temperature=0, top=3))
    assert len(drawn.ids) == len(drawn.top) == len(drawn.logprobs) <= 5
    for token, logprob, top in zip(drawn.ids, drawn.logprobs, drawn.top, strict=True):
        assert top[0][0] == token  # greedy takes the best
        assert top[0][1] == pytest.approx(logprob)
        assert [p for _, p in top] == sorted((p for _, p in top), reverse=True)
