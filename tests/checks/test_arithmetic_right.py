r"""Right mathematics must not be interrupted: no line here may reach the score that interrupts."""

from __future__ import annotations

import pytest

from guard.checks import Context, Resources
from guard.checks.arithmetic import MAX_NOTES, plugin
from guard.checks.arithmetic.numbers import MAX_CONGRUENCES, judged_claims
from guard.core.types import Evidence, Finding, Segment

CHECK = plugin(plugin.Params(), Resources())
INTERRUPTS = 0.85


def examine(text: str) -> tuple[Finding, ...]:
    result = CHECK.examine(
        Segment(id=1, channel="reasoning", start=0, end=len(text), text=text, attempt=0), Context(evidence=Evidence())
    )
    return result if isinstance(result, tuple) else ()


RIGHT = r"""
$x^3 + y^3 = (x+y)(x^2 - xy + y^2) = 5(x^2 - xy + y^2)$.
Since $x+y=1$, $(x+y)^3 = x^3+y^3+3xy(x+y) = x^3+y^3+3xy$.
Using $a+b+c=0$: $a^2+b^2+c^2 = (a+b+c)^2 - 2(ab+bc+ca) = -2(ab+bc+ca)$.
$f(x) = x^2 - 4x + 7 = (x-2)^2 + 3$
$\sin^2 x + \cos^2 x = 1$, so $\cos x = \sqrt{1-\sin^2 x} = \frac{4}{5}$.
$\sin 2x = 2\sin x\cos x = 2 \cdot \frac{3}{5}\cdot\frac45 = \frac{24}{25}$
Substituting $x = 3$: $x^2 + 2x + 1 = 9 + 6 + 1 = 16$.
$y = 2x + 1 = 2(3) + 1 = 7$
$2^n - 1 = 1 + 2 + 4 + \cdots + 2^{n-1}$
$\log 100 = 2$; $\ln e^2 = 2$.
$\sqrt{2} + \sqrt{3} = \sqrt{5 + 2\sqrt{6}}$
$\cos 60^\circ = \frac12$, $\sin 30^\circ = 0.5$
$\frac{1}{n(n+1)} = \frac1n - \frac1{n+1}$
$A = \pi r^2 = \pi (5)^2 = 25\pi \approx 78.54$
3.5 hours = 210 minutes
Growth = (120 - 100)/100 = 0.2 = 20%
17 mod 5 = 2
$7^{4} \equiv 1 \pmod{100}$, since $7^4=2401$.
$3^{-1} \equiv 5 \pmod{14}$
2^{10} \equiv 24 \pmod{1000}
17 is prime, 51 is not prime, 51 = 3 * 17.
The number 1 is not prime. 2 is prime.
91 is not prime, it is 7 * 13.
100 is a perfect square and 27 is a perfect cube.
4 is divisible by 2 and 9 is divisible by 3.
So 12 is divisible by 5 only when we add 3.
If n = 4, n + 1 is prime. n^2 + 1 is prime too.
3^2 + 4 = 13 is prime.
$2^4 + 1 = 17$ is prime.
$10^2 + 1$ is prime.
Therefore 2n is divisible by 4 iff n is even.
The sum 1 + 2 + 3 is divisible by 6.
10 is divisible by 3? No.
It is false that 10 is divisible by 3.
No number ending in 5 is prime except 5.
Not every number ending in 9 is prime.
None of 21, 33, 39 is prime.
Neither 21 nor 33 is prime.
Exactly one of 7 and 9 is prime.
It is not true that 9 is prime.
He claims that 9 is prime, which is wrong.
Claim: 9 is prime. This is false.
The number of primes below 20 is prime? 8 is not prime.
n = 15 is divisible by 3 and 5.
Bus 12 is divisible by nothing.
A = 3 * 4 = 12. B = 2 + 3 = 5. A + B = 12 + 5 = 17.
A = 3 * 4 = 12. B = 2 + 3 = 5. A + B = 17.
a = 2 + 1 = 3. b = 4 + 1 = 5. Then ab = 15. a + b = 8. (a + b) * 2 = 16
x = 2 + 1 = 3, y = 2 * 2 = 4. For the other root x + y = 9 - 4 = 5.
At the intersection, $y = x^2 = 2x + 3$, so $x = 3$ or $x = -1$.
The two numbers satisfy $S = x + y = xy$.
We set $f(x) = x^2 - 2 = 3x + 8$ and get $x^2 - 3x - 10 = 0$.
Thus $d^2 = (x-1)^2 + y^2 = (x+1)^2 + (y-2)^2$, the perpendicular bisector.
Let $k = \frac{x+1}{2} = \frac{2x-1}{3}$.
The number is $N = 7a + 3 = 5a + 9$, giving $a = 3$.
The profit is $P = 20x - 300 = 5x + 600$ at break-even.
Area: $A = x(x+3) = 40$.
$A = x(x+3) = 2x + 20$.
Taking $\pi = \frac{22}{7}$, $A = \pi \cdot 7^2 = \frac{22}{7} \cdot 49 = 154$.
$C = 2\pi \cdot 7 = 2 \cdot \frac{22}{7} \cdot 7 = 44$ cm.
$\sin 37^\circ = \frac{3}{5}$ and $\cos 37^\circ = \frac45$.
Since $\sin 37^\circ = \frac{3}{5}$, $a = 10 \sin 37^\circ = 6$.
$a(n+1) = a(n) + n$ with $a(1) = 1$.
$x(t+1) = x(t) + t$
$c(n+1) = c(n) + 2n$
$\frac{dy}{dx} = \frac{d}{dx}(3x+1)^2 = 2(3x+1)\frac{d}{dx}(3x+1)$
$y'' = \frac{d^2y}{dx^2} = \frac{d}{dx}\left(\frac{dy}{dx}\right)$
$f'(x) = \frac{d}{dx}\left(\frac{x}{x+1}\right) = \frac{(x+1)\frac{d}{dx}(x) - x\frac{d}{dx}(x+1)}{(x+1)^2}$
For $x<0$ we have $y = \sqrt{x^2} + 1 = -x + 1$.
For $x > 5$, $f(x) = \sqrt{(x-5)^2} = x - 5$.
For $x > 5$, $\sqrt{x^2 - 10x + 25} + 1 = (x - 5) + 1 = x - 4$.
For $x<0$, $\frac{\sqrt{x^2}}{x} = \frac{-x}{x} = -1$.
$x^3 = x \cdot x^2 = x(x+1) = x^2 + x = (x+1) + x = 2x + 1$ because $x^2 = x+1$.
$x^4 = (x^2)^2 = (x+1)^2 = x^2+2x+1 = 3x+2$.
Since $x^2 = x + 1$: $x^4 = (x+1)^2 = x^2 + 2x + 1 = (x+1) + 2x + 1 = 3x + 2$.
By AM-GM with $xy = 1$: $x + \frac{1}{x} = x + y$.
With $abc=1$: $\frac{1}{a} + \frac1b + \frac1c = \frac{ab+bc+ca}{abc} = ab+bc+ca$.
$\frac{1}{x} + \frac{1}{y} = \frac{x+y}{xy} = x + y$ as $xy=1$.
Since $r+s = 3$ and $rs=1$, $r^2+s^2 = (r+s)^2 - 2rs = 9 - 2 = 7$.
By Vieta, $r^3 + s^3 = (r+s)^3 - 3rs(r+s) = 27 - 9rs$.
On the unit circle, $x^2 + y^2 = 1$, so $x^4 + y^4 = (x^2+y^2)^2 - 2x^2y^2 = 1 - 2x^2y^2$.
So the area is $\frac{1}{2}ab = \frac{1}{2} \cdot 3 \cdot 4 = 6$.
$c^2 = a^2 + b^2 = (a+b)^2 - 2ab$
$\cos(A+B) = \cos A \cos B - \sin A \sin B$
In triangle, $\sin(A+B) = \sin(\pi - C) = \sin C$.
$\cos(\pi - x) = -\cos x$, $\sin(x + \pi) = -\sin x$
$\sin^2\theta = 1-\cos^2\theta = (1-\cos\theta)(1+\cos\theta)$
$\tan\theta = \frac{\sin\theta}{\cos\theta} = \sqrt{\frac{1-\cos^2\theta}{\cos^2\theta}}$
$(\sqrt{3}+1)^2 = 4+2\sqrt{3}$
$\frac{1}{\sqrt2+1} = \sqrt2 - 1$
$\sqrt{-4} = 2i$
$\sqrt{-4}\sqrt{-9} = -6$
$(1+i)^2 = 2i$
$(-8)^{1/3} = -2$
$\sqrt[3]{-8} = -2$
$0! = 1$, $5!! = 15$
$\frac{6!}{2!2!} = 180$
$6!/(2!2!) = 180$
$3!! = 720$
$\phi(12) = 12(1-\frac12)(1-\frac13) = 4$
$\lfloor 7/2 \rfloor = 3$; $\lceil 7/2 \rceil = 4$.
$7/2 = 3$ (integer division)
$[7/2] = 3$
$\overline{ab} = 10a + b$, so $10a + b = 4(a+b)$
$10a + b = 7(a + b) = 63$
$N = 10a + b = 7(a + b)$
Two-digit number: $10a+b = 10b + a + 27$
$N = 10a + b = 4(a+b) = 3ab$
$2x + 3 = 11 \Rightarrow 2x = 8 \Rightarrow x = 4$
$(x-2)^2 = 9 \implies x - 2 = \pm 3$
$(x+1)(x-1) = x^2 + x$ gives $x=-1$
$(x+1)(x+2) = x^2 + 4x$, so $3x + 2 = 4x$ and $x = 2$.
$x(x+2) = x^2 + 6$, so $x=3$.
Equation: \( (x+3)(x-3) = x^2 - 3x \).
We solve $(n+2)^2 = n^2 + 40$: $4n = 36$, $n = 9$.
The square's area grows by 39: $(s+3)^2 = s^2 + 39$.
Pythagoras: $(x+2)^2 = x^2 + 64$ so $x = 15$.
$(x+1)^2 = x^2 + (x-1)^2$
$(r+4)^2 = r^2 + 12^2$ (tangent), hence $8r = 128$.
On a 12-hour clock, 9 + 5 = 2.
Putting x = 3 into the original equation: \[ 2 + \sqrt{1} = 1 \] (false)
Putting 3 into the equation, 2 * 3 + 1 = 9 + 1, so 3 is out.
From 2019 - 2023 = 4 years.
If $(x+5)^2 = x^2 + 225$, then $x = 20$.
$p(x) = x(x-1) = 2x + 4$
$\tan 53^\circ = \frac{4}{3}$
No integer such as 15 is prime.
Contrary to popular belief, 1001 is prime is a myth.
Fermat thought that 4294967297 is prime.
Taking $\pi = 3$, $A = \pi \cdot 4^2 = 3 \cdot 16$.
Common mistake: $(a+b)^2 = a^2+b^2$.
The student believed that, since nothing up to 5 divides it, 49 is prime.
A student writes $7^2 \equiv 3 \pmod{5}$, which is wrong.
We conclude 15 is divisible by 4, a contradiction.
None of $21$, $33$, $39$ is prime.
Of the numbers ending in $9$ is prime only $19$.
Expanding the left side of $(x+1)(x+2) = x^2 + 4x$, $3x + 2 = 4x$.
Simplify the equation: $(x+2)^2 = x^2 + 64$.
""".strip().split("\n")


@pytest.mark.parametrize("lead", ["", "So "])
@pytest.mark.parametrize("text", RIGHT)
def test_right_mathematics_is_not_interrupted(text: str, lead: str) -> None:
    assert [found.reason for found in examine(lead + text) if found.score >= INTERRUPTS] == []


@pytest.mark.parametrize(
    "text",
    [
        r"$a(n+1) = a(n) + n$",
        r"$x(t+1) = x(t) + t$",
        r"$\frac{dy}{dx} = \frac{d}{dx}(3x+1)^2 = 2(3x+1)\frac{d}{dx}(3x+1)$",
        r"$y = x^2 = 2x + 3$",
        r"$k = \frac{x+1}{2} = \frac{2x-1}{3}$",
        r"$d^2 = (x-1)^2 + y^2 = (x+1)^2 + (y-2)^2$",
        r"$\sin 37^\circ = \frac{3}{5}$",
        r"$C = 2\pi \cdot 7 = 2 \cdot \frac{22}{7} \cdot 7 = 44$ cm.",
        r"Taking $\pi = 3$, $A = \pi \cdot 4^2 = 3 \cdot 16$.",
        "It is not true that 9 is prime.",
        "12 is divisible by 5 only when we add 3.",
        "None of 21, 33, 39 is prime.",
    ],
)
def test_what_is_no_slip_at_all_is_left_alone(text: str) -> None:
    assert examine(text) == ()


@pytest.mark.parametrize(
    "text",
    [
        r"$\sin 30^\circ = \frac{3}{5}$",
        r"$\frac{8!}{2} = 4!$",
        r"$\binom{6}{2} = 20$",
        r"$\sqrt{50} = 2\sqrt{5}$",
        "It is not even. So 91 is prime.",
        "He claims a lot! 91 is prime.",
        r"$7^{11} \equiv 7 \pmod{25}$",
        "20 - 23 = 3",
    ],
)
def test_what_is_wrong_whatever_stands_around_it_stays_certain(text: str) -> None:
    assert [found.score for found in examine(text)] == [1.0]


def test_a_product_before_a_congruence_is_read_whole_or_not_at_all() -> None:
    assert list(judged_claims(r"7 \cdot " * 100 + r"7 \equiv 3 \pmod{5}")) == []


def test_congruences_and_notes_are_counted() -> None:
    wrong = r"$7 \equiv 3 \pmod{5}$, "
    assert len(list(judged_claims(wrong * (MAX_CONGRUENCES + 5)))) == MAX_CONGRUENCES
    assert len(examine("<<1+1=2>> " * (MAX_NOTES - 1) + "<<1+1=3>>")) == 1
    assert examine("<<1+1=2>> " * MAX_NOTES + "<<1+1=3>>") == ()
