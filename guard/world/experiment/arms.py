"""The arms: the same model, other rows; those that are compared take the same number of steps.

Every arm starts from the policy model; a third of its rows are ordinary pre-training. Of the corrections, most are
about people the model knows, and a share is about people it was never told of, where the correction is to say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from random import Random

from guard.store import Store
from guard.world.experiment import logged
from guard.world.experiment.examining import HELD_OUT, Figures, prefixed
from guard.world.experiment.logged import Lesson
from guard.world.experiment.preferring import prefer
from guard.world.experiment.schooling import Draw, endless, mixture, one_of
from guard.world.experiment.work import Work
from guard.world.learning import Sample

RATE = 1.5e-3
"""Learning rate of every arm but `preference` and `phase_two`."""

REPLAY, SECOND_REPLAY = 0.35, 0.8
"""Share of the rows of an arm, and of the second phase, that are ordinary pre-training."""

UNKNOWN, CAUTION = 0.06, 0.2
"""Shares of the rest that are about people nobody has told the model of: interrupted ones, and cautious answers that do
not make anything up first. The fewer of the former, the oftener the model recovers the truth behind its own "No"
instead of saying that it does not know; the latter teach ignorance without that price."""

CLEAN = 0.4
"""Share of clean rows among the corrections of the arm that has both."""


def untrained_arm(work: Work) -> Figures:
    """The policy model as it is: what every arm is compared with."""
    return prefixed("arm.policy", work.exam(work.lab.load("policy")).whole(_bad(work)))


def masked(work: Work) -> Figures:
    """The bad prefix is context, the correction is the target."""
    model = work.lab.load("policy")
    known, unknown = _lessons(work)
    work.learn(model, mixed(work, one_of(known), one_of(unknown)), work.course(work.lab.scale.arm, 10, RATE))
    work.lab.save("masked", model)
    return prefixed("arm.masked", work.exam(model).whole(_bad(work)))


def phase_two(work: Work) -> Figures:
    """A fifth of the rows are corrections, the rest is ordinary."""
    model = work.lab.load("masked")
    known, unknown = _lessons(work)
    draw = mixed(work, one_of(known), one_of(unknown), replay=SECOND_REPLAY)
    work.learn(model, draw, work.course(work.lab.scale.second, 11, 3e-4, warm_up=10))
    work.lab.save("phase-two", model)
    return prefixed("arm.phase_two", work.exam(model).whole(_bad(work)))


def arm(name: str, parts: Parts, *, short: bool = False) -> Callable[[Work], Figures]:
    """An arm of this name with these corrections."""

    def run(work: Work) -> Figures:
        model = work.lab.load("policy")
        known, unknown = parts(work)
        steps = work.lab.scale.short if short else work.lab.scale.arm
        work.learn(model, mixed(work, known, unknown), work.course(steps, 10, RATE))
        return prefixed(f"arm.{name}", work.exam(model).whole(_bad(work)))

    return run


def mixed(work: Work, known: Draw, unknown: Draw, *, replay: float = REPLAY) -> Draw:
    """Ordinary rows and corrections in their shares."""
    rest, school = 1 - replay, work.school
    return mixture(
        (school.base, replay),
        (known, rest * (1 - UNKNOWN - CAUTION)),
        (unknown, rest * UNKNOWN),
        (school.cautious(work.lab.unsure), rest * CAUTION),
    )


def _lessons(work: Work, format_: str = "prompt_completion") -> tuple[list[Sample], list[Sample]]:
    return _parted(logged.lessons(work.lab.folder, format_))


def _parted(lessons: Sequence[Lesson]) -> tuple[list[Sample], list[Sample]]:
    """Those of which the model knows the truth, and the others."""
    return [each.sample for each in lessons if each.knows], [each.sample for each in lessons if not each.knows]


def of_lessons(work: Work) -> tuple[Draw, Draw]:
    """The log as it is: the bad prefix masked."""
    known, unknown = _lessons(work)
    return one_of(known), one_of(unknown)


def of_other_types(work: Work) -> tuple[Draw, Draw]:
    """The log without the corrections that are about one type of question."""
    lessons = logged.lessons(work.lab.folder, "prompt_completion")
    known, unknown = _parted([each for each in lessons if not _held_out(work, each)])
    return one_of(known), one_of(unknown)


def _held_out(work: Work, lesson: Lesson) -> bool:
    question = work.lab.world.question(lesson.asked)
    return question is not None and question.type == HELD_OUT


def of_unmasked(work: Work) -> tuple[Draw, Draw]:
    """The same rows with the bad premise learnt: the control."""
    claims = {id_: work.lab.tokenizer.encode(claim, add_special_tokens=False) for id_, _, claim in _claims(work)}
    lessons = [logged.unmasked(each, claims[each.id]) for each in logged.lessons(work.lab.folder, "prompt_completion")]
    known, unknown = _parted(lessons)
    return one_of(known), one_of(unknown)


def of_clean(work: Work) -> tuple[Draw, Draw]:
    """Ideal transcripts: no bad premise at all, no "No"."""
    known, _ = _lessons(work, "clean")
    return one_of(known), work.school.cautious(work.lab.unsure)


def of_synthetic(work: Work) -> tuple[Draw, Draw]:
    """Premises made wrong by chance in the place of the harvested ones."""
    _, unknown = _lessons(work)
    return work.school.synthetic, one_of(unknown)


def of_both(work: Work) -> tuple[Draw, Draw]:
    """Corrections and ideal transcripts."""
    corrections, clean = of_lessons(work), of_clean(work)
    known, unknown = (mixture((a, 1 - CLEAN), (b, CLEAN)) for a, b in zip(corrections, clean, strict=True))
    return known, unknown


def of_soft(work: Work) -> tuple[Draw, Draw]:
    """The same rows, with the stored distributions as targets where the log has them: a row of which the model wrote
    nothing but guard's words has none."""
    soft = {each.id: each for each in logged.lessons(work.lab.folder, "distillation")}
    hard = logged.lessons(work.lab.folder, "prompt_completion")
    known, unknown = _parted([soft.get(each.id, each) for each in hard])
    return one_of(known), one_of(unknown)


def of_doubts(work: Work) -> tuple[Draw, Draw]:
    """The control without any correction: ordinary rows in their place, and the same cautious answers."""
    return work.school.base, work.school.base


def of_noise(share: float) -> Parts:
    """A log in which this share of the corrections is false."""

    def parts(work: Work) -> tuple[Draw, Draw]:
        known, unknown = of_lessons(work)
        false = one_of([each.sample for each in logged.lessons(work.lab.folder / "false", "prompt_completion")])
        return mixture((known, 1 - share), (false, share)), unknown

    return parts


Parts = Callable[[Work], tuple[Draw, Draw]]
"""Corrections about what the model knows, and about what it does not."""

LONG: Mapping[str, Parts] = {"unmasked": of_unmasked}
"""Compared with `masked`."""

SHORT: Mapping[str, Parts] = {
    "masked_short": of_lessons,
    "clean": of_clean,
    "synthetic": of_synthetic,
    "masked_clean": of_both,
    "other_types": of_other_types,
    "soft": of_soft,
    "cautious": of_doubts,
}
"""Compared with `masked_short`, and with those whose log has false interruptions."""


def preference(work: Work) -> Figures:
    """DPO on the exported preference rows."""
    lab = work.lab
    encode = lab.speaker(None).encode
    pairs = [(encode(p), encode(c), encode(r)) for p, c, r in logged.pairs(lab.folder)]
    model = lab.load("policy")
    course = work.course(lab.scale.preference, 12, 5e-4)
    won = prefer(model, pairs, endless(work.school.base, course.seed), course, lambda _: work.tick(1))
    return prefixed("arm.preference", work.exam(model).whole(_bad(work)) | {"won": won})


def _claims(work: Work) -> list[tuple[str, str, str]]:
    """(id, context, claim) of the confirmed interruptions, in order."""
    return asyncio.run(_read_claims(work))


async def _read_claims(work: Work) -> list[tuple[str, str, str]]:
    store = Store(work.lab.log)
    await store.open()
    try:
        return [
            (r.interruption.id, logged.context_of(r), r.interruption.claim.text)
            for r in store.iter_interruptions()
            if r.review == "confirmed"
        ]
    finally:
        await store.close()


def _bad(work: Work) -> list[tuple[str, str]]:
    """Harvested bad premises about people the model knows, drawn by chance."""
    knows = {each.id for each in logged.lessons(work.lab.folder, "prompt_completion") if each.knows}
    found = [(context, claim) for id_, context, claim in _claims(work) if id_ in knows]
    return Random(work.lab.seed).sample(found, min(200, len(found)))
