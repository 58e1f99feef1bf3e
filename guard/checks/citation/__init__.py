"""Citation: quotes, references, addresses and identifiers that the sources do not hold.

Catches: a quoted string of five words or more that differs from the source it is taken from in a word of content, a
number or a negation; one that is said to be a source's or a named speaker's and stands nowhere; "passage 4", "[4]",
"Section 4.2" where the sources have no such number; URLs, DOIs, arXiv ids, ISBNs, PMIDs, RFC and CVE numbers, order and
case numbers, commits and file paths that are given as a source's and stand in none. A quote's correction is the
source's wording; another's is the only thing of the kind in the sources that is nearly the same.

Cannot catch: a true quote in the wrong mouth; quotes of fewer than five words, in single quotation marks, or in writing
without spaces; a line number; a part of a document that is numbered by position alone; attribution in other languages
than English; a version. What is not there may still be true: absence counts only where the statement says that
a source says so, or the sources number their own.

Reaches, at 0.85, on 5,411 cases made from public answers and their sources (`tests/checks/citation_cases.py`):
precision 1.00, recall 0.98 (quotes with a number changed 0.92, a word 0.96; invented ones 0.79: what is missed is
mostly attributed in another segment). On RAGTruth's faultless answers 4 interruptions in 311,000 tokens, of which 2
name a passage that is not there and 2 change a quote; on 731,000 tokens of reasoning in mathematics none.

Costs about 0.06 ms a segment, 0.1 to 0.3 ms one with a quote or an address that is looked for, and once a request less
than 2 ms for 1,000 words and each kind of thing that is looked for. Needs nothing. Answers `not_applicable` where fewer
than 200 characters beyond the last question are supplied, where the question asks for invention, and where the segment
cites nothing or is code.

Rules: how citations are written is in `cited`, what is supplied in `sources`, whether a source is named in
`attribution`, what counts as a difference in `quotes`, what follows in `said` (quotes) and `named` (the rest). The
user's own words clear, and never correct. Denials ("it does not say"), suppositions and what the model itself proposes
are no citations; code and placeholders neither.
Scores: 0.95 for a quote with one or two wrong words and for a number beyond those the sources have; 0.9 for
something attributed to a source that is nowhere in it, with evidence or tool messages at hand; 0.6 where only
instructions are, where the sources merely have such things, and for quotes that are changed in many places.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, ClassVar

from pydantic import Field

from guard.checks import TEXT, Context, NotApplicable, Resources, Result
from guard.checks import Params as CheckParams
from guard.checks.citation.cited import FENCE, Cited, Quote, cited_in, quotes_in
from guard.checks.citation.named import misnamed
from guard.checks.citation.quotes import words_of
from guard.checks.citation.said import misquoted
from guard.checks.citation.sources import Sources
from guard.core.claims import in_code
from guard.core.types import Channel, Finding, Segment

MOST, MOST_NAMED = 8, 24
"""Findings of a segment, and quotes and other things that are looked up."""


class Citation:
    """The check."""

    version: ClassVar[str] = "1"
    inline: ClassVar[bool] = True
    channels: ClassVar[frozenset[Channel]] = TEXT

    class Params(CheckParams):
        """`least_words`: shorter quotes are titles, terms and scare quotes, and are not looked for."""

        least_words: Annotated[int, Field(ge=4)] = 5

    def __init__(self, params: Any, resources: Resources) -> None:
        del resources
        self._least_words = params.least_words

    def examine(self, segment: Segment, context: Context) -> Result:
        """One finding for each thing that is cited and not there."""
        if "sources" not in context.memo:
            context.memo["sources"] = Sources(context.evidence)
        sources: Sources = context.memo["sources"]
        if sources.why_not:
            return NotApplicable(sources.why_not)
        if FENCE.match(segment.text.lstrip("\n")):
            return NotApplicable("code")
        some = islice(quotes_in(segment.text), MOST_NAMED)
        said = [quote for quote in some if len(words_of(quote.text)) >= self._least_words]
        named = list(islice(cited_in(segment.text), MOST_NAMED))
        if not said and not named:
            return NotApplicable("no citation")
        found = sorted(_found(segment.text, said, named, sources), key=lambda finding: finding.start)[:MOST]
        return () if not found or _is_in_code(segment, context) else tuple(found)


def _found(text: str, said: list[Quote], named: list[Cited], sources: Sources) -> Iterator[Finding]:
    for quote in said:
        if wrong := misquoted(quote, text, sources):
            yield wrong
    for one in named:
        if not any(quote.start <= one.start < quote.end for quote in said) and (wrong := misnamed(one, text, sources)):
            yield wrong


def _is_in_code(segment: Segment, context: Context) -> bool:
    """Whether a code block that an earlier segment opened is still open; asked only where something was found."""
    return in_code(other.text for other in context.kept if other.channel == segment.channel)


plugin = Citation
