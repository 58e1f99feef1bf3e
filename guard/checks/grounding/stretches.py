"""Where in a statement an encoder sees what is wrong: its tokens' log odds as stretches of characters.

A finding then marks "in 1936 by a Danish firm" and not the whole sentence. It does not know whether the statement is
wrong at all; that is the stack's probability. On held-out statements marking stretches instead of sentences raised the
F1 of characters from .508 to .513 (RAGTruth QA) and of tokens from .43 to .56 (WiCE).
"""

from __future__ import annotations

from collections.abc import Sequence

SUSPECT = -0.5
"""Log odds from which a token is marked. Whole statements are judged more surely than tokens: hence below even odds."""
GAP = 3
"""Tokens between two marked ones that are marked with them."""
MOST = 3
"""Stretches of a statement: of more, the gaps are filled until no more are left."""
Range = tuple[int, int]


def stretches(tokens: Sequence[float], ranges: Sequence[Range]) -> list[Range]:
    """At most `MOST` ranges of characters, in order; none where no token is suspect."""
    marked = [at for at, odds in enumerate(tokens) if odds >= SUSPECT]
    found: list[Range] = []
    for at in marked:
        if found and at - found[-1][1] <= GAP + 1:
            found[-1] = (found[-1][0], at)
        else:
            found.append((at, at))
    while len(found) > MOST:
        nearest = min(range(len(found) - 1), key=lambda i: found[i + 1][0] - found[i][1])
        found[nearest : nearest + 2] = [(found[nearest][0], found[nearest + 1][1])]
    return [(ranges[first][0], ranges[last][1]) for first, last in found]
