"""What tokens mean beside their neighbours, for `guard.checks.arithmetic`.

A word behind a number is its unit, an `x` between two numbers multiplies, "of" behind a percentage does, two
brackets that touch do too. It does not know values or equations.
"""

from __future__ import annotations

from guard.checks.arithmetic.lexer import IMPLIED, LETTER_UNITS, Token, scan, words

_SCALES = {
    "hundred": 100,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "dozen": 12,
}
_APPROXIMATE = frozenset({"about", "approximately", "roughly", "around", "nearly", "almost", "approx"})
_WORD_OPERATORS = {"plus": "+", "minus": "-", "times": "*", "multiplied": "*", "divided": "/"}
_RELATIONS = frozenset({"is", "equals", "equal", "makes", "gives"})
_ATTACHED = words("km cm mm nm kg mg ml cl dl lb lbs oz ft in hr hrs min mins sec secs mph kph kw kwh mb gb tb usd eur")
"""Units that are written without a space; other short letters there are variables."""
_HAZARDS = words(
    "sin cos tan cot sec csc log ln exp sqrt max min gcd lcm mod floor ceil abs det lim choose "
    "squared cubed factorial root remainder pi twice double triple thrice half negative quarter third square cube "
    "percent average mean plus minus times multiplied divided equals equal off more less fewer greater"
)
"""Words that are part of a sum that is told rather than written."""
_PARTS = words("half third thirds quarter quarters fifth fifths tenth tenths square cube root average mean")
_PROSE = words(
    "so because that which who than then and was were or but since if when where to with on at he she it "
    "they we you i is are means gives makes will would can has have had get gets from by as thus "
    "therefore hence while"
)
"""Words that no unit holds: what they follow is a sentence, not a quantity."""
_UNIT_WORDS = 4
_OF_WORDS = 3


def tokenise(text: str) -> list[Token]:
    """Every token of `text`, in order, with its meaning settled. Linear in the length; never raises."""
    return _separate(_attach_units(_settle(scan(text))))


def operand_starts(tokens: list[Token], index: int) -> bool:
    """Whether an operand can begin at `index`."""
    if index >= len(tokens):
        return False
    token = tokens[index]
    return token.kind in "n(f" or (token.kind == "o" and token.text in "+-" and _operand_near(tokens, index + 1))


def _operand_near(tokens: list[Token], index: int) -> bool:
    return index < len(tokens) and tokens[index].kind in "n(fo"


def _settle(tokens: list[Token]) -> list[Token]:
    """Give words and signs the meaning their neighbours call for."""
    out: list[Token] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        step = 1
        if token.kind == "w":
            step = _settle_word(out, tokens, index)
        elif token.kind == "=" and token.text == "~" and out and out[-1].kind == "=":
            out[-1].text = "~"
        else:
            out.append(token)
        index += step
    return out


def _settle_word(out: list[Token], tokens: list[Token], index: int) -> int:
    """Append what the word at `index` means to `out`; return how many tokens it took up."""
    token, word = tokens[index], tokens[index].text.lower()
    behind = out[-1].kind if out else "."
    if behind == "n" and word in _SCALES:
        out[-1].value *= _SCALES[word]
        out[-1].scale *= _SCALES[word]
        out[-1].ulp *= _SCALES[word]
        out[-1].end = token.end
        return 1
    if behind == "=" and word in _APPROXIMATE:
        out[-1].text = "~"
        return 1
    if behind == "n" and word == "percent":
        out.append(Token("%", "%", token.start, token.end))
        return 1
    if word in ("of", "x") or word in _WORD_OPERATORS:
        return _settle_operator(out, tokens, index, word)
    if word in _RELATIONS:
        return _settle_relation(out, tokens, index, word)
    out.append(_settle_plain(token, word, out[-1] if out else None))
    return 1


def _settle_plain(token: Token, word: str, before: Token | None) -> Token:
    if word in _HAZARDS or _is_variable(token, word, before):
        return Token("!", token.text, token.start, token.end)
    return token


def _is_variable(token: Token, word: str, before: Token | None) -> bool:
    if word in LETTER_UNITS:
        return before is None or not (before.kind == "n" or before.text == "/")
    attached = before is not None and before.kind in "n)" and before.end == token.start and word.isascii()
    return attached and len(word) < 4 and word not in _ATTACHED


def _settle_operator(out: list[Token], tokens: list[Token], index: int, word: str) -> int:
    token, after = tokens[index], index + 1
    behind = out[-1] if out else None
    if word in ("multiplied", "divided") and after < len(tokens) and tokens[after].text == "by":
        after += 1
    if word == "of":
        return _settle_of(out, tokens, index)
    sign = _WORD_OPERATORS.get(word, "*")
    usable = behind is not None and behind.kind in "n)%w" and operand_starts(tokens, after)
    if word == "x" and usable and behind is not None and tokens[after].kind != "n":
        usable = behind.end < token.start and token.end < tokens[after].start
    out.append(Token("o" if usable else "!", sign, token.start, token.end))
    return after - index if usable else 1


def _settle_of(out: list[Token], tokens: list[Token], index: int) -> int:
    """`15% of the 80` multiplies; behind a word it is prose, unless the word is a part ("half of")."""
    token = tokens[index]
    after = index + 1
    while after < len(tokens) and after <= index + _OF_WORDS and tokens[after].kind == "w":
        after += 1
    if _is_portion(out) and after < len(tokens) and tokens[after].kind in "n(":
        out.append(Token("o", "*", token.start, token.end))
        return after - index
    told = bool(out) and (out[-1].kind in "n!" or out[-1].text.lower() in _PARTS)
    out.append(Token("!" if told else "w", token.text, token.start, token.end))
    return 1


def _is_portion(out: list[Token]) -> bool:
    if out and out[-1].kind == "%":
        return True
    return len(out) > 2 and out[-1].kind == "n" and out[-2].text == "/" and out[-3].kind == "n"


def _settle_relation(out: list[Token], tokens: list[Token], index: int, word: str) -> int:
    after, approximate = index + 1, False
    while after < min(len(tokens), index + 4) and tokens[after].text.lower() in (
        "equal",
        "to",
        *_APPROXIMATE,
    ):
        approximate = approximate or tokens[after].text.lower() in _APPROXIMATE
        after += 1
    token = tokens[index]
    told = bool(out) and out[-1].kind in "n)%"
    if word != "equal" and told and operand_starts(tokens, after):
        out.append(Token("=", "~" if approximate else "is", token.start, token.end))
        return after - index
    out.append(Token("!" if word in ("equal", "equals") else "w", token.text, token.start, token.end))
    return 1


def _attach_units(tokens: list[Token]) -> list[Token]:
    """Move words behind an operand into its `units` where an operator or a relation follows them."""
    out: list[Token] = []
    index = 0
    while index < len(tokens):
        token = tokens[index]
        out.append(token)
        index += 1
        if token.kind not in "n)%":
            continue
        stop = index
        while stop < len(tokens) and stop - index <= 2 * _UNIT_WORDS and _is_unit_at(tokens, stop):
            stop += 1 if tokens[stop].kind == "w" else 2
        if stop > index:
            token.units = tuple(t.text.lower() for t in tokens[index : min(stop, index + _UNIT_WORDS)])
        if stop == len(tokens) or tokens[stop].kind == "=" or _joins(tokens, stop):
            index = stop
    return out


def _is_unit_at(tokens: list[Token], index: int) -> bool:
    if tokens[index].kind == "w":
        return tokens[index].text.lower() not in _PROSE
    rate = tokens[index].kind == "o" and tokens[index].text == "/"
    return rate and index + 1 < len(tokens) and tokens[index + 1].kind == "w"


def _joins(tokens: list[Token], index: int) -> bool:
    return tokens[index].kind == "o" and operand_starts(tokens, index + 1)


def _separate(tokens: list[Token]) -> list[Token]:
    """Put an implied `*` or a break between two operands that touch."""
    out: list[Token] = []
    for index, token in enumerate(tokens):
        before = out[-1] if out else None
        if before is not None and before.kind in "n)%" and token.kind in "n(f":
            out.extend(_between(before, token, tokens, index))
        out.append(token)
    return out


def _between(before: Token, token: Token, tokens: list[Token], index: int) -> list[Token]:
    touching = before.end == token.start
    if before.text == "}" and token.text == "{":
        return []
    if token.text == "(" and before.text != "}" and before.kind != "%" and (touching or before.kind == ")"):
        return [Token("o", IMPLIED, before.end, before.end)]
    prose = token.kind == "(" and index + 1 < len(tokens) and tokens[index + 1].kind == "w"
    return [Token("." if prose and not touching else "!", "", before.end, before.end)]
