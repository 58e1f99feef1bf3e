"""The tokens that a segment is spelled with, each at its place in the segment's text.

Knows transcripts. Does not know who looks at the tokens, or what they say. Its rules:

1. A token is the segment's if it begins in it; the last one may reach beyond its end.
2. A token whose text does not stand where it was written (a cut went through it, and other text follows) is left out.
   So is all text that came without tokens: guard's own, the client's, and whatever the upstream told none for.
3. How the upstream cut its deltas never matters, as long as the tokens of a delta spell the delta's text.
"""

from __future__ import annotations

from guard.core.transcript import Transcript
from guard.core.types import Segment, Spelled, Token


def spelled(transcript: Transcript, segment: Segment) -> Spelled:
    """The tokens of a segment of this transcript that stands; () where the upstream tells none."""
    placed = transcript.placed(segment.start, segment.end)
    return tuple((at - segment.start, token) for at, token in placed if _stands(token, segment, at - segment.start))


def _stands(token: Token, segment: Segment, at: int) -> bool:
    return token.text.startswith(segment.text[at : at + len(token.text)])
