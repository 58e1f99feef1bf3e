r"""Steps of algebra, named results, chains that mend themselves, and what is said of one whole number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.checks import Context, Resources
from guard.checks.arithmetic import plugin
from guard.checks.arithmetic.algebra import MAX_SYMBOLS, differ, evaluate
from guard.checks.arithmetic.equation import MAX_FINDINGS
from guard.checks.arithmetic.formula import MAX_DEPTH, MAX_DIGITS, Unreadable
from guard.checks.arithmetic.identities import MAX_MEMBERS, MAX_SLIPS, judged_links
from guard.checks.arithmetic.mathtext import Symbol, chains
from guard.checks.arithmetic.named import judged_letters, worked_out
from guard.checks.arithmetic.numbers import is_prime, judged_claims
from guard.core.types import Evidence, Finding, Segment

CHECK = plugin(plugin.Params(), Resources())


def segment(text: str, number: int = 0) -> Segment:
    return Segment(id=number, channel="reasoning", start=0, end=len(text), text=text, attempt=0)


def examine(text: str, *before: str, memo: dict[str, Any] | None = None) -> tuple[Finding, ...]:
    kept = tuple(segment(each, number) for number, each in enumerate(before, 1))
    context = Context(evidence=Evidence(), standing=lambda: kept, memo={} if memo is None else memo)
    result = CHECK.examine(segment(text), context)
    return result if isinstance(result, tuple) else ()


def symbols(formula: str) -> tuple[Symbol, ...]:
    ((member, _),) = chains(f"\\({formula} = 0\\)", MAX_MEMBERS)
    return member.symbols


def value(formula: str, letters: Mapping[str, float] | None = None) -> float:
    return evaluate(symbols(formula), letters or {}).values[0]


@pytest.mark.parametrize(
    ("formula", "letters", "expected"),
    [
        (r"2x^2 - 3x + 1", {"x": 3}, 10),
        (r"(x+1)(x-1)", {"x": 3}, 8),
        (r"\frac{x+1}{2}y", {"x": 3, "y": 5}, 10),
        (r"\sqrt{16} + \sqrt[3]{27}", {}, 7),
        (r"\left(3 + 4\right) \cdot 2", {}, 14),
        (r"5! / 3!", {}, 20),
        (r"\binom{5}{2}", {}, 10),
        (r"a_1 + a_{n+1}", {"a_1": 2, "a_n+1": 3}, 5),
        (r"\sin^2 x + \cos^2 x", {"x": 1.234}, 1),
        (r"\sin 30^\circ", {}, 0.5),
        (r"\log_2 8", {}, 3),
        (r"\ln(x)", {"x": math.e}, 1),
        (r"-x^2", {"x": 3}, -9),
        (r"2^{-1}", {}, 0.5),
        (r"1{,}000 + 1", {}, 1001),
        (r"\alpha\beta", {"alpha": 2, "beta": 3}, 6),
        (r"\boxed{7}", {}, 7),
        (r"2\pi", {}, 2 * math.pi),
    ],
)
def test_formulas_have_values(formula: str, letters: Mapping[str, float], expected: float) -> None:
    assert value(formula, letters) == pytest.approx(expected)


@pytest.mark.parametrize(
    "formula",
    [
        "f(x)",
        "5!!",
        "P(2)",
        "AB",
        "abc",
        "1/2x",
        r"2\frac{1}{2}",
        "i + 1",
        "e^x",
        r"\log x",
        r"90^\circ",
        r"2^2^\circ",
        "x +",
        "[x]",
        "|x|",
        r"\{x\}",
        r"\sum x",
        r"1 + \cdots + n",
        r"\sin^{-1} x",
        "f'",
        "(" * (MAX_DEPTH + 1) + "x" + ")" * (MAX_DEPTH + 1),
        "9" * (MAX_DIGITS + 1),
        "x" + "+1" * MAX_SYMBOLS,
    ],
)
def test_what_has_several_readings_or_none_is_unreadable(formula: str) -> None:
    with pytest.raises(Unreadable):
        evaluate(symbols(formula))


RIGHT = r"""
\(f(x) = (x+1)^2 = x^2 + 2x + 1\)
\(f(x) = (x+1)(x-1) = x^2 - 1\)
\(y = \sqrt{x^2} = x\)
\(x^2 - 5x + 6 = (x-2)(x-3)\)
\((x+1)^2 = x + 3\)
\((3+b)(11+b) = (5+b)^2\)
\(x^2 + 2x = 3x + 5\)
\(r = (h-2)^2 = (h-4)^2\)
\(S = 1 + 2 + \cdots + n = \frac{n(n+1)}{2}\)
\(\sqrt{8} = 2\sqrt{2}\)
\(\sqrt{2} = 1.41\)
\(\sin 45^\circ = \frac{\sqrt{2}}{2}\)
\(\frac{5!}{3!} = 20\)
\(\binom{6}{2} = 15\)
\(49 \div 9 = 5\)
\(2^2 + 3 = 1 \pmod{3}\)
\(\omega^3 + 1 = \omega^3 + \omega^3 = 2\omega^3\)
\(y = f(x+1) = f(x) + 1\)
\(a = |x| + 1 = x + 1\)
It costs $5 and $(x + 1)^2 = x^2 + 1 more.
Is \(f(x) = (x+1)^2 = x^2 + 1\)?
""".strip().split("\n")


@pytest.mark.parametrize("text", RIGHT)
def test_what_may_be_right_is_left_alone(text: str) -> None:
    assert examine(text) == ()


WRONG = [
    (
        r"So \(f(x) = (x+1)^2 = x^2 + 1\).",
        r"(x+1)^2 = x^2 + 1",
        r"(x+1)^2 is not x^2 + 1.",
        r"With x = 2, (x+1)^2 is 9 and x^2 + 1 is 5.",
    ),
    (
        r"\[ x^2 - 5x + 6 = (x-2)(x-4) \]",
        r"x^2 - 5x + 6 = (x-2)(x-4)",
        r"x^2 - 5x + 6 is not (x-2)(x-4).",
        r"With x = 3, x^2 - 5x + 6 is 0 and (x-2)(x-4) is -1.",
    ),
    (
        r"$$b = 9 - 18(n-1) = 18 - 18n$$",
        r"9 - 18(n-1) = 18 - 18n",
        r"9 - 18(n-1) is not 18 - 18n.",
        r"With n = 2, 9 - 18(n-1) is -9 and 18 - 18n is -18.",
    ),
    (
        "\\[ f = 2^a \\cdot 2^b \\\\\n = 2^{ab} \\]",
        "2^a \\cdot 2^b \\\\\n = 2^{ab}",
        "2^a \\cdot 2^b is not 2^{ab}.",
        "With a = 2 and b = 3, 2^a \\cdot 2^b is 32 and 2^{ab} is 64.",
    ),
    (
        "V = ((x + 1)^2)^n = (x + 1)^{2^n}",
        "((x + 1)^2)^n = (x + 1)^{2^n}",
        "((x + 1)^2)^n is not (x + 1)^{2^n}.",
        "With n = 3 and x = 1, ((x + 1)^2)^n is 64 and (x + 1)^{2^n} is 256.",
    ),
    (r"\(\frac{8!}{2} = 4!\)", r"\frac{8!}{2} = 4!", r"\frac{8!}{2} is not 4!.", r"\frac{8!}{2} = 20160."),
    (r"\(\sqrt{2} + \sqrt{2} = 2\)", None, r"\sqrt{2} + \sqrt{2} is not 2.", r"\sqrt{2} + \sqrt{2} ≈ 2.82843."),
]


@pytest.mark.parametrize(("text", "span", "reason", "correction"), WRONG)
def test_a_wrong_step_is_found(text: str, span: str | None, reason: str, correction: str) -> None:
    (found,) = examine(text)
    assert (found.reason, found.correction) == (reason, correction)
    assert span is None or text[found.start : found.end] == span
    assert found.score == (0.6 if correction.startswith("With") else 1.0)


@pytest.mark.parametrize(
    "text",
    [
        r"Expanding: \(f(x) = (x+1)^2 = x^2 + 1\).",
        r"We factor \(x^2 - 5x + 6 = (x-2)(x-4)\).",
        r"For all x, \((x+3)^2 = x^2 + 5x + 9\).",
        r"Simplifying gives \(b = 9 - 18(n-1) = 18 - 18n\).",
    ],
)
def test_a_wrong_step_that_is_named_an_identity_is_certain(text: str) -> None:
    (found,) = examine(text)
    assert found.score == 1.0


@pytest.mark.parametrize(
    "text",
    [
        r"\(f(x) = (x+1)^2 = x^2 + 1\)",
        r"Expanding with x = 0, \(f(x) = (x+1)^2 = x^2 + 1\).",
        r"Simplify and solve \((x+2)^2 = x^2 + 64\).",
        r"Expanding \((x+2)^2 = x^2 + 64\), we get 4x = 60.",
        r"For all \(x > 5\), \(y = \sqrt{(x-5)^2} = x - 5\).",
        r"Expanding, \(f = (x+1)^2 = x^2 + 2x + 1 = x^2 + 1\).",
        r"We expand. Then \(x^2 - 5x + 6 = (x-2)(x-4)\).",
    ],
)
def test_a_step_with_letters_is_no_more_than_plausible_otherwise(text: str) -> None:
    (found,) = examine(text)
    assert found.score == 0.6


def test_under_an_assumption_a_wrong_step_is_no_more_than_plausible() -> None:
    (found,) = examine(r"Suppose \(\sqrt{2} + \sqrt{2} = 2\).")
    assert found.score == 0.6


def test_the_same_text_gets_the_same_answer() -> None:
    assert examine(WRONG[0][0]) == examine(WRONG[0][0])


POLYNOMIAL = st.lists(st.integers(-9, 9), min_size=2, max_size=4)
LED = st.builds(
    lambda rest, lead: [*rest, lead], st.lists(st.integers(-9, 9), min_size=1, max_size=3), st.integers(1, 9)
)
"""Of degree one at least."""


def written(polynomial: list[int]) -> str:
    """Coefficients, the lowest first."""
    return " + ".join(f"({c})x^{{{power}}}" for power, c in enumerate(polynomial))


def product(one: list[int], other: list[int]) -> list[int]:
    out = [0] * (len(one) + len(other) - 1)
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            out[i + j] += a * b
    return out


@given(POLYNOMIAL, POLYNOMIAL)
def test_a_right_expansion_is_never_flagged(one: list[int], other: list[int]) -> None:
    assert examine(rf"\[ y = ({written(one)})({written(other)}) = {written(product(one, other))} \]") == ()


@given(LED, LED, st.integers(1, 9), st.integers(0, 5))
def test_a_wrong_coefficient_is_found_unless_it_agrees_somewhere(
    one: list[int], other: list[int], off: int, place: int
) -> None:
    right = product(one, other)
    wrong = [c + off * (power == place % (len(right) - 1)) for power, c in enumerate(right)]
    text = rf"\[ y = ({written(one)})({written(other)}) = {written(wrong)} \]"
    (slip,) = judged_links(text)
    assert slip is not None
    assert (text[slip.left.start], text[slip.right.end - 1]) == ("(", "}")


@given(POLYNOMIAL)
def test_an_expression_never_differs_from_itself(polynomial: list[int]) -> None:
    one = evaluate(symbols(written(polynomial)))
    assert not differ(one, one)


CHAIN_PIECES = st.sampled_from(
    r"x|y|a_1|2|37|3.5|999999999999999|+|-|*|/|^|{|}|(|)|[|]|=|=|\\|&|!|,|\frac|\sqrt|\sin|\log_2|\binom|\pi|^\circ|\(|\)"
    r"|\[|\]|$|\cdots|\text{ so }|\boxed{|_|'|≈|\equiv|\pmod{7}|is prime|is divisible by|A = 3 * 4 = 12|A - B".split(
        "|"
    )
)


@given(st.lists(st.one_of(CHAIN_PIECES, st.text(max_size=3)), max_size=40), st.sampled_from(["", " "]))
def test_never_raises_and_spans_are_inside(pieces: list[str], glue: str) -> None:
    text = glue.join(pieces)
    for found in examine(text, text, "B = 2 - 10 = -8"):
        assert found.end is not None
        assert 0 <= found.start < found.end <= len(text)
        assert 0 < found.score <= 1
        assert found.reason


@pytest.mark.parametrize(
    "piece",
    [
        *(r"\(", r"\[x=", "$x=", "x^{", r"\frac{", "((", "x_", "9", "!", r"\sqrt[", "A = 3 * 4 = ", "A - ", "7 is "),
        *(r"1 \equiv ", r"9^{9^{9", r"\binom{", "x^99999", r"\sin "),
    ],
)
def test_repetition_is_survived(piece: str) -> None:
    assert len(examine((piece * 4000)[:4000] + " = 3")) <= MAX_FINDINGS


def test_findings_of_algebra_are_capped() -> None:
    wrong = r"\(f = (x+1)^2 = x^2 + 1\) "
    assert len(list(judged_links(wrong * (MAX_SLIPS + 2)))) == MAX_SLIPS
    assert list(judged_links(r"\(x = 1\) " * MAX_MEMBERS + wrong)) == []


# Named results


BEFORE = ("A = (3 * 4) = 12.", "Let's calculate B = (2 - 10) = -8.", "Let's calculate C = (1 + 1) = (2).")


@pytest.mark.parametrize(
    ("text", "reason", "correction"),
    [
        (
            "Then A - B - C = 12 - 8 - 2 = 2.",
            "with A = 12, B = -8 and C = 2, A - B - C is not 12 - 8 - 2.",
            "A - B - C = 18.",
        ),
        ("So (A + B) * C = 10.", "with A = 12, B = -8 and C = 2, (A + B) * C is not 10.", "(A + B) * C = 8."),
    ],
)
def test_a_sum_of_named_results_is_worked_out(text: str, reason: str, correction: str) -> None:
    (found,) = examine(text, *BEFORE)
    assert (found.score, found.reason, found.correction) == (1.0, reason, correction)
    assert text[found.start : found.end].startswith(("A - B - C = 12 - 8 - 2", "(A + B) * C = 10"))


@pytest.mark.parametrize(
    "text",
    [
        "Then A - B - C = 12 - (-8) - 2 = 18.",
        "Then A - B - D = 3.",
        "Then A = 3.",
        "Then 2A - B = 3.",
        "Then f(A - B) = 3.",
    ],
)
def test_what_is_not_known_of_named_results_is_left_alone(text: str) -> None:
    assert examine(text, *BEFORE) == ()


def test_a_letter_that_was_given_two_values_stands_for_none() -> None:
    assert examine("Then A - B = 3.", *BEFORE, "Now A = 2 + 5 = 7.") == ()


@pytest.mark.parametrize(
    ("text", "before"),
    [
        ("For the other root A - B = 9 - 4 = 5.", BEFORE),
        ("In the second case A - B = 3.", BEFORE),
        ("Then A - B = 3.", (*BEFORE, "Let A = 2.")),
        ("Take B = 9, then A - B = 3.", BEFORE),
    ],
)
def test_a_letter_that_may_stand_for_something_else_leaves_a_doubt(text: str, before: tuple[str, ...]) -> None:
    (found,) = examine(text, *before)
    assert found.score == 0.6


def test_a_result_that_is_repeated_leaves_none() -> None:
    (found,) = examine("With A = 12, A - B = 12 - 8 = 4.", *BEFORE)
    assert found.score == 1.0


def test_a_corrected_result_leaves_the_memory() -> None:
    memo: dict[str, Any] = {}
    wrong = "Then A - B = 12 - 8 = 4."
    assert examine(wrong, *BEFORE, memo=memo) != ()
    assert examine(wrong, BEFORE[0], memo=memo) == ()


def test_results_are_read_from_chains_that_work_them_out() -> None:
    assert worked_out("Take A = 3. Then B = (2 + 3) = 5 and c = 7 / 2 = 3.5.") == (
        ("B", Fraction(5)),
        ("c", Fraction(7, 2)),
    )
    assert list(judged_letters("A - B = 4", [("A", Fraction(7), True), ("B", Fraction(3), True)])) == [None]


# Chains that mend themselves


@pytest.mark.parametrize(
    "text",
    [
        "A = (7 - -2 + 1) = (7 - 2 + 1) = (9 + 1) = 10.",
        "6 + 3 * -1 = 6 + 3 = 3",
        "B = ((1 + 1) * (8 + -3)) = ((1 + 1) * (8 + 3)) = (2 * 5) = 10.",
    ],
)
def test_a_slip_of_writing_that_the_chain_mends_is_none(text: str) -> None:
    assert examine(text) == ()


@pytest.mark.parametrize("text", ["A = (7 - -2 + 1) = (7 - 2 + 1) = 6.", "3 * 4 = 13 = 14", "2 + 2 = 5. 2 + 2 = 4."])
def test_a_slip_that_is_not_mended_is_found(text: str) -> None:
    assert examine(text) != ()


def test_a_conversion_behind_a_sum_is_no_error() -> None:
    assert examine("He has 4-2=2 hours=120 minutes left.") == ()


def test_a_chain_of_strokes_is_never_certain() -> None:
    (found,) = examine("It lasts 14 / 1 / 4 = 14 * 4 washes.")
    assert found.score == 0.6


def test_letters_in_a_formula_are_no_units() -> None:
    assert examine(r"\(3m^2 - 8m - 60 = 0\)") == ()


# What is said of one whole number


@pytest.mark.parametrize(
    ("text", "reason", "correction"),
    [
        ("Since 91 is prime, we stop.", "91 is not prime.", "91 = 7 * 13."),
        (r"\(209\) is a prime number.", "209 is not prime.", "209 = 11 * 19."),
        ("Note that 97 is composite.", "97 is prime.", ""),
        ("Since 97 is not prime, go on.", "97 is prime.", ""),
        ("Here 221 is divisible by 7.", "221 is not divisible by 7.", "221 = 7 * 31 + 4."),
        ("But 21 is not a multiple of 7.", "21 is divisible by 7.", "21 = 7 * 3."),
        ("Since 50 is a perfect square, done.", "50 is not a perfect square.", ""),
        (r"So \(7^{11} \equiv 7 \pmod{25}\).", "7^{11} is not 7 modulo 25.", "7^{11} is 18 modulo 25."),
    ],
)
def test_false_claims_about_a_number_are_found(text: str, reason: str, correction: str) -> None:
    (found,) = examine(text)
    assert (found.score, found.reason, found.correction) == (1.0, reason, correction)


@pytest.mark.parametrize(
    "text",
    [
        "97 is prime.",
        "91 is not prime.",
        "Check whether 91 is prime.",
        "If 91 is prime, stop.",
        "Is 91 prime?",
        "n + 91 is prime.",
        r"\(x^2 + 91\) is prime.",
        "2.91 is prime.",
        "91 is prime to 4.",
        "221 is divisible by 13.",
        "The sum of 3 and 221 is divisible by 7.",
        "2020 is a multiple of 2021 minus 1.",
        "49 is a perfect square.",
        "64 is a perfect cube.",
        r"\(7^2 \equiv -1 \pmod{25}\)",
        r"\(n^3 + 1 \equiv 0 \pmod{13}\)",
        r"\(-1 \equiv 4 \pmod{5}\)",
        r"\(3^{9999} \equiv 1 \pmod{5}\)",
        "1 is prime.",
    ],
)
def test_what_is_true_or_part_of_more_is_left_alone(text: str) -> None:
    assert not any(judged_claims(text))
    assert examine(text) == ()


@given(st.integers(0, 10**6))
def test_primes_are_those_that_nothing_divides(number: int) -> None:
    assert is_prime(number) == (number > 1 and all(number % by for by in range(2, math.isqrt(number) + 1)))


@pytest.mark.parametrize("number", [561, 3215031751, 341550071728321, 999999999989 * 3])
def test_strong_pseudoprimes_are_not_prime(number: int) -> None:
    assert not is_prime(number)
