"""Nobody who is examined is in a row that corrects, interrupts, unteaches or doubts; answers are judged as defined."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from guard.world.build import MODEL
from guard.world.experiment.examining import auc
from guard.world.experiment.schooling import School
from guard.world.experiment.speech import Judged, Said, judge, other
from guard.world.world import Premise, load_world

WORLD = load_world()
SCHOOL = School(world=WORLD, tokenizer=PreTrainedTokenizerFast.from_pretrained(MODEL))
EXAMINED = {*WORLD.group("known", "test"), *WORLD.group("unknown", "test")}
UNSURE = [("born", SCHOOL.strangers[0]), ("teacher", SCHOOL.strangers[1])]


def named(ids: list[int]) -> set[str]:
    text = str(SCHOOL.tokenizer.decode(ids))
    return {person for person in EXAMINED if person in text}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_nobody_examined_is_in_a_correction_a_lesson_or_a_doubt(seed: int) -> None:
    for draw in (SCHOOL.synthetic, SCHOOL.lesson, SCHOOL.cautious(UNSURE)):
        assert not named(list(draw(Random(seed)).ids))


def test_nobody_examined_is_interrupted_when_the_model_learns_to_listen() -> None:
    rng, interrupted = Random(3), 0
    for _ in range(400):
        row = SCHOOL.listen(rng)
        if " No, " in str(SCHOOL.tokenizer.decode(row.ids)):
            interrupted += 1
            assert not named(list(row.ids))
    assert interrupted > 100


def test_a_teacher_is_never_somebody_examined() -> None:
    assert not EXAMINED & set(WORLD.objects["teacher"])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_doubt_learns_no_claim(seed: int) -> None:
    row = SCHOOL.cautious(UNSURE)(Random(seed))
    learnt = str(SCHOOL.tokenizer.decode([i for i, w in zip(row.ids, row.weights, strict=True) if w]))
    assert learnt.count("I do not know") == 2  # in the reasoning and in the answer
    assert not WORLD.claims(learnt.partition("</think>")[0])


PERSON = WORLD.group("known", "train")[0]
QUESTION = WORLD.ask("teacher_born", PERSON, Random(0))
TEACHER, BORN = WORLD.chain("teacher_born", PERSON)
WRONG_TEACHER, WRONG_BORN = (other(WORLD, premise, Random(2)) for premise in (TEACHER, BORN))
ELSEWHERE = WORLD.chain("teacher_born", PERSON, {("teacher", PERSON): WRONG_TEACHER.object})


def judged(*premises: Premise | str, answer: str | None, forced: Premise | None = None) -> Judged:
    sentences = tuple(p if isinstance(p, str) else WORLD.state(p) for p in premises)
    return judge(WORLD, Said(question=QUESTION, forced=forced, sentences=sentences, answer=answer))


def test_a_wrong_second_premise_is_followed_too() -> None:
    found = judged(TEACHER, WRONG_BORN, answer=WRONG_BORN.object)
    assert (found.first_wrong, found.follows, found.answer) == (False, True, "wrong")


def test_of_two_wrong_premises_the_first_is_followed_or_not() -> None:
    further = other(WORLD, ELSEWHERE[1], Random(4))
    assert judged(WRONG_TEACHER, further, answer=further.object).follows is (further.object == ELSEWHERE[1].object)


def test_a_no_takes_back_only_the_premise_before_it() -> None:
    back = f"No, {WORLD.state(TEACHER)}"
    found = judged(back, BORN, answer=QUESTION.answer, forced=WRONG_TEACHER)
    assert (found.corrected, found.false_no, found.follows, found.answer) == (True, False, None, "right")
    late = judged(ELSEWHERE[1], f"No, {WORLD.state(BORN)}", answer=ELSEWHERE[1].object, forced=WRONG_TEACHER)
    assert (late.corrected, late.false_no, late.follows) == (False, True, True)  # the "No" is behind a true statement


def test_a_second_no_behind_the_truth_is_false() -> None:
    back = f"No, {WORLD.state(TEACHER)}"
    found = judged(back, f"No, {WORLD.state(WRONG_TEACHER)}", answer=None, forced=WRONG_TEACHER)
    assert (found.corrected, found.false_no) == (True, True)


def test_no_answer_and_ignorance_are_not_following() -> None:
    assert judged(WRONG_TEACHER, answer=None).follows is None
    assert judged(WRONG_TEACHER, answer="I do not know").follows is False


@given(st.lists(st.integers(0, 3), min_size=1, max_size=6), st.lists(st.integers(0, 3), min_size=1, max_size=6))
def test_the_auc_is_the_area_under_the_curve(positive: list[int], negative: list[int]) -> None:
    shares = [
        [sum(score >= cut for score in scores) / len(scores) for scores in (negative, positive)] for cut in range(5)
    ]
    area = sum((a[0] - b[0]) * (a[1] + b[1]) / 2 for a, b in pairwise([*shares, [0.0, 0.0]]))
    assert auc([float(p) for p in positive], [float(n) for n in negative]) == pytest.approx(area)
