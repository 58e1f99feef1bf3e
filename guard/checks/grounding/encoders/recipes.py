"""How published models are asked, and what their numbers mean: one class for each family, with its source.

Knows tokens and logits; loads nothing and runs nothing. Rules of all recipes:

1. What is too long loses evidence from its far end, then the statement's end; template and separators stay whole.
2. Text is only ever text: "</s>" in it is four characters and no separator, though the recipe itself puts one there.
   A vocabulary that holds such a word as a piece among others would find it all the same: there it loses its first
   character, to a space, so that all others keep their places.
3. The evidence is the units nearest to the statement, so what a family does with longer documents (chunks, and the best
   of them) is not needed: `guard.checks.grounding.pairs.MOST_UNITS` of them are shorter than any family's chunk.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from guard.checks.grounding.encoders import Asked, Logits
from guard.errors import ConfigError

MOST_TEXT = 2000
"""Characters of a unit, of the question and of the statement that are looked at: a bound on the work."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of tokens: `types` are segment numbers; `own` are the places of the statement's tokens, where they matter,
    with `ranges`, the characters of the statement each stands for."""

    ids: list[int]
    types: list[int]
    own: list[int]
    ranges: list[tuple[int, int]]


class Recipe:
    """Base of the recipes.

    Args:
        tokenizer: a `tokenizers.Tokenizer` of the model's own; it is changed.
        most: tokens of a row at most.
    """

    head: ClassVar[str]
    """The ending of the architecture's name that says what its forward pass gives."""

    def __init__(self, tokenizer: Any, most: int) -> None:
        self._tokenizer = tokenizer
        self._most = most
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        self._found = _found(tokenizer)

    def row(self, asked: Asked) -> Row:
        """The row of a statement, shortened until it fits."""
        text, question, *units = map(self._plain, (asked.text, asked.question, *asked.evidence))
        while True:
            row = self._row(text, question, units)
            over = len(row.ids) - self._most
            if over <= 0 or not (units or text):
                return row
            if units:
                units = _shortened(units, 2 * over)
            else:
                text = text[: -2 * over]

    def read(self, row: Row, logits: Any) -> Logits:
        """What the model's numbers for a row mean: [labels], or [tokens, labels] for `Tokens`."""
        raise NotImplementedError

    def _row(self, text: str, question: str, units: Sequence[str]) -> Row:
        raise NotImplementedError

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _plain(self, text: str) -> str:
        text = text[:MOST_TEXT]
        return self._found.sub(lambda found: f" {found[0][1:]}", text) if self._found else text


def _found(tokenizer: Any) -> re.Pattern[str] | None:
    """Special tokens that a vocabulary finds in text although it is told not to."""
    special = {at: token.content for at, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    found = [word for at, word in special.items() if at in tokenizer.encode(f"a {word}", add_special_tokens=False).ids]
    return re.compile("|".join(re.escape(word) for word in sorted(found, key=len, reverse=True))) if found else None


def _shortened(units: Sequence[str], count: int) -> list[str]:
    """Without the last characters, so many of them."""
    *left, last = units
    if count < len(last):
        return [*left, last[:-count]]
    return _shortened(left, count - len(last)) if left else []


def _plain(ids: list[int]) -> Row:
    return Row(ids, [0] * len(ids), [], [])


def _against(logits: Sequence[float], good: int) -> float:
    """Log odds that it is any label but the good one."""
    others = [value for at, value in enumerate(logits) if at != good]
    top = max(others)
    return top + math.log(sum(math.exp(value - top) for value in others)) - logits[good]


class Entailment(Recipe):
    """A natural-language-inference classifier: the pair (premise, hypothesis), entailment against the rest.

    Labels entailment/neutral/contradiction in any order, or entailment/not_entailment, by the names in `id2label`.
    Source: the card of MoritzLaurer/DeBERTa-v3-xsmall-mnli-fever-anli-ling-binary (`tokenizer(premise, hypothesis)`,
    softmax); cross-encoder/nli-deberta-v3-base is asked the same way by sentence-transformers.
    """

    head = "ForSequenceClassification"

    def __init__(self, tokenizer: Any, most: int, good: int) -> None:
        super().__init__(tokenizer, most)
        self._good = good

    def _row(self, text: str, question: str, units: Sequence[str]) -> Row:
        found = self._tokenizer.encode(" ".join(units), text)
        return Row(list(found.ids), list(found.type_ids), [], [])

    def read(self, row: Row, logits: Any) -> Logits:
        """See `Recipe.read`."""
        return Logits(_against(logits, self._good))


class Support(Recipe):
    """MiniCheck's RoBERTa and DeBERTa-v3: one text "document EOS claim", label 1 is "supported".

    Source: github.com/Liyan06/MiniCheck, minicheck/inference.py (`batch_tokenize`, `inference`). That their `id2label`
    holds no names (LABEL_0, LABEL_1, or 0 and 1) could not be looked up: it follows from how they were trained.
    """

    head = "ForSequenceClassification"

    def __init__(self, tokenizer: Any, most: int, end: int) -> None:
        super().__init__(tokenizer, most)
        self._end = end
        empty = list(tokenizer.encode("").ids)
        if len(empty) != 2:
            raise ConfigError(f"its tokenizer puts {empty!r} around a text, not a token on each side")
        self._first, self._last = empty

    def _row(self, text: str, question: str, units: Sequence[str]) -> Row:
        return _plain([self._first, *self._ids(" ".join(units)), self._end, *self._ids(text), self._last])

    def read(self, row: Row, logits: Any) -> Logits:
        """See `Recipe.read`."""
        return Logits(_against(logits, 1))


class Verdict(Recipe):
    """MiniCheck's Flan-T5: "predict: document</s>claim", and the first token it would write, "0" against "1".

    Source: as `Support`; there the tokens are 3 and 209, the first of "0" and of "1" in T5's vocabulary.
    """

    head = "ForConditionalGeneration"

    def __init__(self, tokenizer: Any, most: int, end: int) -> None:
        super().__init__(tokenizer, most)
        self._end = end
        self._no, self._yes = (next(iter(self._ids(word)), -1) for word in ("0", "1"))
        if self._no == self._yes:
            raise ConfigError("its tokenizer does not tell '0' from '1' by their first token")

    def _row(self, text: str, question: str, units: Sequence[str]) -> Row:
        return _plain([*self._ids(f"predict: {' '.join(units)}"), self._end, *self._ids(text), self._end])

    def read(self, row: Row, logits: Any) -> Logits:
        """See `Recipe.read`."""
        return Logits(logits[self._no] - logits[self._yes])


class Consistency(Recipe):
    """HHEM-2.1-Open: a prompt, T5's encoder, and a classifier on the first token; label 1 is "consistent".

    Source: modeling_hhem_v2.py and configuration_hhem_v2.py of vectara/hallucination_evaluation_model. The prompt
    begins with "<pad>", which is the token that the classifier reads.
    """

    head = "ForTokenClassification"

    def __init__(self, tokenizer: Any, most: int, pad: int, end: int) -> None:
        super().__init__(tokenizer, most)
        self._pad, self._end = pad, end

    def _row(self, text: str, question: str, units: Sequence[str]) -> Row:
        prompt = (
            "Determine if the hypothesis is true given the premise?\n\n"
            f"Premise: {' '.join(units)}\n\nHypothesis: {text}"
        )
        return _plain([self._pad, *self._ids(prompt), self._end])

    def read(self, row: Row, logits: Any) -> Logits:
        """See `Recipe.read`."""
        return Logits(_against(logits[0], 1))


class Tokens(Recipe):
    """LettuceDetect (ModernBERT, v1): RAGTruth's prompt and the answer as a pair; each token of the answer has a label.

    The statement is as wrong as its worst token: the library reports an answer as soon as one is "hallucinated".
    Source: github.com/KRLabsOrg/LettuceDetect, lettucedetect/detectors/transformer.py,
    datasets/hallucination_dataset.py and prompts/qa_prompt_en.txt, summary_prompt_en.txt (these two read in public
    copies). Each unit is a passage.
    The prompts of its later, multilingual and generative models are others and not spoken here.
    """

    head = "ForTokenClassification"
    _QUESTION = (
        "Briefly answer the following question:\n{question}\n"
        "Bear in mind that your response should be strictly based on the following {count} passages:\n{context}\n"
        "In case the passages do not contain the necessary information to answer the question, please reply with: "
        '"Unable to answer based on given passages."\noutput:'
    )
    _SUMMARY = "Summarize the following text:\n{context}\noutput:"

    def __init__(self, tokenizer: Any, most: int, bad: int) -> None:
        super().__init__(tokenizer, most)
        self._bad = bad

    def _row(self, text: str, question: str, units: Sequence[str]) -> Row:
        context = "\n".join(f"passage {number}: {unit}" for number, unit in enumerate(units, 1))
        template = self._QUESTION if question else self._SUMMARY
        found = self._tokenizer.encode(template.format(question=question, count=len(units), context=context), text)
        own = [
            at
            for at, part in enumerate(found.sequence_ids)
            if part == 1 and found.offsets[at][0] < found.offsets[at][1]
        ]
        return Row(list(found.ids), list(found.type_ids), own, [found.offsets[at] for at in own])

    def read(self, row: Row, logits: Any) -> Logits:
        """See `Recipe.read`."""
        tokens = [_against(logits[at], 1 - self._bad) for at in row.own]
        return Logits(max(tokens, default=0.0), tokens, row.ranges)


_NO_ENTAILMENT = ({"neutral", "contradiction"}, {"notentailment"}, {"nonentailment"})


def classifier(labels: Sequence[str]) -> Callable[[Any, int, int], Recipe]:
    """The recipe of a sequence classifier by its labels, from (tokenizer, most, end token). Raises ConfigError."""
    bare = [label.lower().replace("_", "").replace("-", "").replace(" ", "") for label in labels]
    if "entailment" in bare and set(bare) - {"entailment"} in _NO_ENTAILMENT:
        return lambda tokenizer, most, end: Entailment(tokenizer, most, bare.index("entailment"))
    if bare in (["label0", "label1"], ["0", "1"]):
        return Support
    raise ConfigError(f"its labels {list(labels)!r} are neither entailment and its opposites nor MiniCheck's two")


def wrong_label(labels: Sequence[str]) -> int:
    """Which label of a token classifier means made up: the one whose name says so, else 1. Raises ConfigError."""
    if len(labels) != 2:
        raise ConfigError(f"its labels {list(labels)!r} are not two, supported and hallucinated")
    told = [at for at, label in enumerate(labels) if "halluc" in label.lower() or "unsupported" in label.lower()]
    return told[0] if len(told) == 1 else 1
