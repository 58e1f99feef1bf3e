from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from guard.checks import Context, Resources
from guard.checks.arithmetic import plugin
from guard.checks.arithmetic.equation import MAX_FINDINGS, MAX_SIDE
from guard.checks.arithmetic.expression import MAX_BITS, MAX_DEPTH, MAX_EXPONENT, Unreadable, read_side
from guard.checks.arithmetic.meaning import tokenise
from guard.core.types import Evidence, Finding, Segment

CHECK = plugin(plugin.Params(), Resources())


def examine(text: str) -> tuple[Finding, ...]:
    segment = Segment(id=0, channel="reasoning", start=0, end=len(text), text=text, attempt=0)
    result = CHECK.examine(segment, Context(evidence=Evidence()))
    return result if isinstance(result, tuple) else ()


def value(text: str) -> Fraction:
    return read_side(tokenise(text)).value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("12 / 4 / 3", 1),
        ("2^3^2", 512),
        ("2**10", 1024),
        ("2 ^ -1", Fraction(1, 2)),
        ("-3 + 4", 1),
        ("3 - -4", 7),
        ("3 − 4", -1),
        ("7 × 8 ÷ 2", 28),
        ("7 x 8", 56),
        ("7x8", 56),
        (".20*10", 2),
        ("1,234,567 + 1", 1234568),
        ("2(3+4)", 14),
        ("(1+1)(2+2)", 8),
        ("3 × 4(5)", 60),
        ("15% of 80", 12),
        ("15 percent of the 80 marbles", 12),
        ("50%", Fraction(1, 2)),
        ("1/2 of 10", 5),
        ("2 1/2 * 4", 10),
        ("3½ + ½", 4),
        ("3² + 4²", 25),
        (r"\frac{1}{2} + \frac{1}{3}", Fraction(5, 6)),
        (r"\left(3 + 4\right) \cdot 2", 14),
        (r"\boxed{14}", 14),
        (r"10{,}000 + 1", 10001),
        ("[(1 + 2) * 3] + 1", 10),
        ("$3.50 * 2", 7),
        ("3 apples + 4 apples", 7),
        ("5 km / 2 h", Fraction(5, 2)),
        ("$13/tile - $11/tile", 2),
        ("1.5 million / 3", 500000),
        ("1.2e3 + 1", 1201),
        ("3 plus 4", 7),
        ("12 divided by 4", 3),
        ("3 multiplied by 4 minus 2", 10),
        ("90° + 45°", 135),
    ],
)
def test_expressions_have_exact_values(text: str, expected: Fraction) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "1 +",
        "(1 + 2",
        "(1 + 2]",
        "1 / 0",
        "0 ^ -1",
        "2 ^ (1/2)",
        f"2 ^ {MAX_EXPONENT + 1}",
        f"9999999999 ^ {MAX_EXPONENT}",
        "(" * (MAX_DEPTH + 1) + "1" + ")" * (MAX_DEPTH + 1),
        "2 ^ " * (MAX_DEPTH + 2) + "1",
        " * ".join(["9999999999"] * (MAX_BITS // 33 + 2)),
        "3 + x",
        r"\sqrt{16}",
        r"\frac12",
        "[3]",
    ],
)
def test_what_is_no_expression_or_too_large_is_unreadable(text: str) -> None:
    with pytest.raises(Unreadable):
        value(text)


RIGHT = r"""
12 * 4 = 48.
.20*10 = 2
35/100 = 35%
35/100 * 100 = 35%
15% of 80 = 12
100% - 35% = 65%
$50 + 10% = $55
10% of the $400 + $1580 = $1980
3+2x=21
2x + 3x = 6
(5/2)x+5=930
\[ a(1 + \frac{3}{2}) = 40 \]
\frac{1}{2}ab = 5
$3 * 4 = $12
5 * 25 = $1.25
3 apples + 4 apples = 7 apples
27 green marbles + 14 yellow marbles = 41 marbles
2 hours + 30 minutes = 150 minutes
276/12 = 23 dozen
$24k per year / 12 months in a year = $2k per month
1/3 = 0.333
2/3 = 0.66
7/2 = 3
0.125 * 1 = 0.12
0.125 * 1 = 0.13
10/3 ≈ 3.3
22/7 ~ 3.14
3/2 = 1.50+3.00 = 4.50
6/2 = 3 + 4 = 7
48/2 = <<48/2=24>>24 clips
12/60 = $<<12/60=0.2>>0.2 per minute
25 / 1/3 = 75
3 plus 4 is 7
The sum of 3, 4 and 5 is 12.
3/4 is equal to $15
17 boys and the new total is 20+5 = 25
x = 3 + 4 = 7
f(3) = 9
5! = 120
2 * 3 = 3!
H2 + 3 = 9
101_2 + 1 = 6
\binom{4}{2} + 1 = 7
\sqrt{9} + 2 = 5
sin 30 + 4 = 4.5
|3 - 7| = 4
[10/4] = 2
1 + 2 + ... + 10 = 55
17 = 5 (mod 12)
10 + 11 = 101 in binary
3:4 = 6:8
2024-01-15 = 3
Day 1 - 3 + 4 = 7
1) 3 + 4 = 7
(2) 3 + 4 = 7
- 3 + 4 = 7
**3 + 4 = 7**
Is 3 + 4 = 8?
3 + 4 ≠ 8
3 + 4 => 8
.8 + . 84 + .82 = 2.46
14, 400 / 80 = 180
No equation, 3 * 4.
""".strip().split("\n")


@pytest.mark.parametrize("text", RIGHT)
def test_what_may_be_right_is_left_alone(text: str) -> None:
    assert [f for f in examine(text) if f.score > 0.6] == []


WRONG = [
    ("So 12 * 4 = 46, which is less.", "12 * 4 = 46", "12 * 4 is not 46.", "12 * 4 = 48."),
    (".20*10 = 3", ".20*10 = 3", ".20*10 is not 3.", ".20*10 = 2."),
    ("15% of 80 = 13", "15% of 80 = 13", "15% of 80 is not 13.", "15% of 80 = 12."),
    ("100% - 35% = 60%", "100% - 35% = 60%", "100% - 35% is not 60%.", "100% - 35% = 65%."),
    ("It is $3 * 4 = $13.", "$3 * 4 = $13", "$3 * 4 is not $13.", "$3 * 4 = $12."),
    ("$3 / 2 = $1.60", "$3 / 2 = $1.60", "$3 / 2 is not $1.60.", "$3 / 2 = $1.50."),
    (
        "3 apples + 4 apples = 8 apples",
        "3 apples + 4 apples = 8",
        "3 apples + 4 apples is not 8.",
        "3 apples + 4 apples = 7.",
    ),
    ("2(3+4) = 15", "2(3+4) = 15", "2(3+4) is not 15.", "2(3+4) = 14."),
    (r"\(3 \times 4 = 13\)", r"3 \times 4 = 13", r"3 \times 4 is not 13.", r"3 \times 4 = 12."),
    (
        r"\[ \left(3 + 4\right) \cdot 2 = \boxed{15} \]",
        r"\left(3 + 4\right) \cdot 2 = \boxed{15}",
        r"(3 + 4) \cdot 2 is not 15.",
        r"\left(3 + 4\right) \cdot 2 = \boxed{14}.",
    ),
    ("1/3 + 1/2 = 2/5", "1/3 + 1/2 = 2/5", "1/3 + 1/2 is not 2/5.", "1/3 + 1/2 = 5/6."),
    ("1/3 = 0.343", "1/3 = 0.343", "1/3 is not 0.343.", "1/3 ≈ 0.333."),
    ("2/3 = 0.65", "2/3 = 0.65", "2/3 is not 0.65.", "2/3 ≈ 0.67."),
    ("3 plus 4 is 8", "3 plus 4 is 8", "3 plus 4 is not 8.", "3 plus 4 is 7."),
    (
        "The sum of 3 and 4 is 8.",
        "The sum of 3 and 4 is 8",
        "the sum of 3 and 4 is not 8.",
        "The sum of 3 and 4 is 7.",
    ),
    (
        "So the product of 3, 4 and 5 equals 61.",
        "the product of 3, 4 and 5 equals 61",
        "the product of 3, 4 and 5 is not 61.",
        "The product of 3, 4 and 5 is 60.",
    ),
    ("12 divided by 4 equals 4", "12 divided by 4 equals 4", "12 divided by 4 is not 4.", "12 divided by 4 is 3."),
    ("48/2 = <<48/2=25>>25 clips", "48/2 = <<48/2=25>>25", "48/2 is not 25.", "48/2 = 24."),
    ("48/2 = <<50/2=24>>24 clips", "50/2=24", "50/2 is not 24.", "50/2 = 25."),
    ("3 * 4 = 12 = 13", "3 * 4 = 12 = 13", "3 * 4 is not 13.", "3 * 4 = 12."),
    ("B = (6 + -6 * 5 - -4) = (6 - 26) = -20", None, None, None),
    ("(7 - -7 * 4) = (7 - 28)", "(7 - -7 * 4) = (7 - 28)", "(7 - -7 * 4) is not (7 - 28).", "(7 - -7 * 4) = 35."),
    ("6/2 = 3 + 4 = 8", "3 + 4 = 8", "3 + 4 is not 8.", "3 + 4 = 7."),
    ("**3 + 4 = 8**", "3 + 4 = 8", "3 + 4 is not 8.", "3 + 4 = 7."),
    ("1) 3 + 4 = 8", "3 + 4 = 8", "3 + 4 is not 8.", "3 + 4 = 7."),
    ("Step 2: 7 + 8 = 16.", "7 + 8 = 16", "7 + 8 is not 16.", "7 + 8 = 15."),
    ("1,234 + 766 = 2,001", "1,234 + 766 = 2,001", "1,234 + 766 is not 2,001.", "1,234 + 766 = 2,000."),
    ("7 * 8 ≈ 80", "7 * 8 ≈ 80", "7 * 8 is not about 80.", "7 * 8 = 56."),
    ("3 - 5 = 2", "3 - 5 = 2", "3 - 5 is not 2.", "3 - 5 = -2."),
]


@pytest.mark.parametrize(("text", "span", "reason", "correction"), WRONG)
def test_what_is_wrong_is_certain(text: str, span: str | None, reason: str, correction: str) -> None:
    found = examine(text)
    if span is None:
        assert found == ()
        return
    (finding,) = found
    assert text[finding.start : finding.end] == span
    assert (finding.score, finding.reason, finding.correction) == (1.0, reason, correction)


@pytest.mark.parametrize(
    "text",
    [
        "Suppose 3 + 4 = 8.",
        "3 + 4 = 8, which is false.",
        "5 km / 2 h = 3.5 km/h",
        "3m + 4m = 8m",
        "3 boxes * 4 apples = 13 apples",
        "10 / 3 = 4",
        "2.25 * 2 = 4.51",
        "pages 3-4 = 2",
        "-3^2 = 8",
        "6/2(1+2) = 2",
        "5 * 3 = 15,000",
        "8 = 5.5 * 8",
        "the total -3 + 4 = 8",
        "room 3 + 4 is 8",
    ],
)
def test_a_doubt_keeps_it_from_being_certain(text: str) -> None:
    (finding,) = examine(text)
    assert finding.score == 0.6


def test_the_subject_is_the_left_side_without_spelling() -> None:
    subjects = {examine(text)[0].subject for text in ("1,200 × 4 = 46", "1200*4 = 47", r"1200 \cdot 4 = 48")}
    assert subjects == {"1200*4"}


def test_findings_stand_in_order_and_are_capped() -> None:
    found = examine(" ".join(f"{n} + 1 = {n}." for n in range(2, 40)))
    assert len(found) == MAX_FINDINGS
    assert [f.start for f in found] == sorted(f.start for f in found)


def test_a_side_of_too_many_tokens_is_not_read() -> None:
    assert examine("1 + " * MAX_SIDE + "1 = 3") == ()
    assert len(examine("1 + " * (MAX_SIDE // 4) + "1 = 3")) == 1


def test_a_number_too_long_to_tell_is_not_told() -> None:
    (finding,) = examine("9 ^ 99 = 3")
    assert finding.correction == ""


@pytest.mark.parametrize(
    "piece", ["(", "1 = ", "2^", "1+(", "$", "{", "<<", "\\frac{", "**", "3 x ", "= ", "\n", "1 a ", "½", "&"]
)
def test_repetition_is_survived(piece: str) -> None:
    assert len(examine((piece * 4000)[:4000] + " = 3")) <= MAX_FINDINGS


PIECES = st.sampled_from(
    r"1|23|4.5|.20|1,000|+|-|*|/|^|**|=|≈|is|(|)|[|]|{|}|%|$|x|of|apples|per|plus|divided by|and|\frac|\times"
    r"|\left(|\boxed{|<<|>>|!|,|.|:|½|²|the sum of|percent|million|\(|\)|?|about|-3|2x|&|1/2"
    "|\n".split("|")
)


@given(st.lists(st.one_of(PIECES, st.text(max_size=3)), max_size=40), st.sampled_from(["", " "]))
def test_never_raises_and_spans_are_inside(pieces: list[str], glue: str) -> None:
    text = glue.join(pieces)
    for found in examine(text):
        assert found.end is not None
        assert 0 <= found.start < found.end <= len(text)
        assert 0 < found.score <= 1
        assert found.reason


@st.composite
def sums(draw: st.DrawFn, depth: int = 3) -> tuple[str, Fraction]:
    """An expression over whole numbers as text, and its value."""
    if depth == 0 or draw(st.booleans()):
        number = draw(st.integers(0, 99))
        return str(number), Fraction(number)
    (left, a), (right, b) = draw(sums(depth=depth - 1)), draw(sums(depth=depth - 1))
    sign = draw(st.sampled_from("+-*/" if b else "+-*"))
    result = {"+": a + b, "-": a - b, "*": a * b}[sign] if sign != "/" else a / b
    return f"({left} {sign} {right})", result


@given(sums(), st.sampled_from(["", "So ", "We get ", "\\( ", "x = "]), st.sampled_from(["", ".", " apples", " \\)"]))
def test_a_true_equation_is_never_flagged(made: tuple[str, Fraction], before: str, after: str) -> None:
    text, result = made
    shown = str(result) if result.denominator == 1 else f"{float(result):.4f}"
    assert examine(f"{before}{text} = {shown}{after}") == ()


@given(sums(), sums())
def test_a_chain_of_equal_sums_is_never_flagged(made: tuple[str, Fraction], other: tuple[str, Fraction]) -> None:
    text, result = made
    assert examine(f"{text} + {other[0]} = {result} + {other[0]}") == ()


@given(
    sums(), st.integers(1, 50), st.sampled_from(["", "So ", "We get ", "x = "]), st.sampled_from(["", ".", " apples"])
)
def test_a_wrong_whole_number_is_always_found(made: tuple[str, Fraction], off: int, before: str, after: str) -> None:
    text, result = made
    assume(text.startswith("(") and result.denominator == 1 and "/" not in text and "-" not in text)
    (finding,) = examine(f"{before}{text} = {result + off}{after}")
    assert finding.correction.endswith(f"= {result}.")
    shifted = result and (result + off) / result in (100, 1000)
    assert finding.score == (0.6 if shifted else 1.0)


@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    examine(f"{text} = 3")
    examine(f"3 = {text}")


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("5 + 5 = 11 apples.", "5 + 5 = 10 apples."),
        ("The sum is 2 + 2 = 5.", "The sum is 2 + 2 = 4."),
        ("$2+2=5$", "$2+2 = 4$"),
        ("So $2+2=5$, then.", "So $2+2 = 4$, then."),
        ("$2+2$ = 5", "$2+2$ = 4"),
        ("$2+2$ = $5$", "$2+2$ = $4$"),
        ("$$2+2=5$$", "$$2+2 = 4$$"),
        (r"\(2 \times 2 = 5\).", r"\(2 \times 2 = 4\)."),
        (r"\left(1+1\right) \cdot 2 = 5", r"\left(1+1\right) \cdot 2 = 4"),
        (r"\[ 2+2 = \boxed{5} \]", r"\[ 2+2 = \boxed{4} \]"),
        (r"\boxed{2+2=5}", r"\boxed{2+2 = 4}"),
        ("**2 + 2 = 5**", "**2 + 2 = 4**"),
        ("3 apples + 4 apples = 8 apples.", "3 apples + 4 apples = 7 apples."),
        ("It costs $3 * 4 = $13.", "It costs $3 * 4 = $12."),
        ("5 € + 6 € = 12 €.", "5 € + 6 € = 11 €."),
        ("100% - 35% = 60%, so", "100% - 35% = 65%, so"),
    ],
)
def test_the_correction_fits_the_place_of_the_equation(text: str, mended: str) -> None:
    (found,) = examine(text)
    assert found.fits
    assert text[: found.start] + found.correction.removesuffix(".") + text[found.end :] == mended


@given(st.integers(1, 999), st.integers(0, 999), st.sampled_from("+-*"), st.integers(1, 999), st.integers(0, 9999))
def test_a_dot_before_three_digits_is_never_certain(whole: int, part: int, sign: str, by: int, shown: int) -> None:
    for text in (f"{whole}.{part:03} {sign} {by} = {shown}", f"{shown} {sign} {by} = {whole}.{part:03}"):
        assert all(found.score <= 0.6 for found in examine(text))


@given(st.integers(1000, 99999), st.integers(0, 900))
def test_thousands_may_be_set_apart_by_dots(number: int, more: int) -> None:
    dotted, total = (f"{n:,}".replace(",", ".") for n in (number, number + more))
    assert examine(f"{dotted} + {more} = {total}") == ()


@pytest.mark.parametrize("text", ["- 3 + 4 = 7", "\n- 3 + 4 = 1", "* 5 + 5 = 10", "\n- 3 + 4 = 7 and - 1 + 2 = 1"])
def test_a_bullet_is_no_sign(text: str) -> None:
    assert examine(text) == ()


def test_a_wrong_sum_behind_a_bullet_is_corrected_as_a_sum() -> None:
    (found,) = examine("\n- 3 + 4 = 8")
    assert (found.correction, found.start) == ("3 + 4 = 7.", 3)
