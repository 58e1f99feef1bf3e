"""What schema 2 finds words with: a table of SQLite's FTS5 that triggers keep, or a column of PostgreSQL's.

And what it takes for the words of a text, as it was then: what `guard.store.words` says later does not change it.
"""

from __future__ import annotations

import re
import unicodedata

_LONGEST = 64
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")

_SQLITE = (
    """
CREATE VIRTUAL TABLE interruption_words USING fts5(
    search, content='interruption', content_rowid='seq', tokenize='unicode61 remove_diacritics 0', prefix='2 3')""",
    """
CREATE TRIGGER interruption_words_added AFTER INSERT ON interruption BEGIN
    INSERT INTO interruption_words (rowid, search) VALUES (new.seq, new.search);
END""",
    """
CREATE TRIGGER interruption_words_removed AFTER DELETE ON interruption BEGIN
    INSERT INTO interruption_words (interruption_words, rowid, search) VALUES ('delete', old.seq, old.search);
END""",
    """
CREATE TRIGGER interruption_words_changed AFTER UPDATE OF search ON interruption WHEN old.search <> new.search BEGIN
    INSERT INTO interruption_words (interruption_words, rowid, search) VALUES ('delete', old.seq, old.search);
    INSERT INTO interruption_words (rowid, search) VALUES (new.seq, new.search);
END""",
)

_POSTGRESQL = (
    # Kept, not only indexed: where a word is common, rows are walked, and each would be taken apart again.
    """
ALTER TABLE interruption ADD COLUMN words tsvector GENERATED ALWAYS AS (to_tsvector('simple', search)) STORED""",
    "CREATE INDEX ix_interruption_words ON interruption USING gin (words)",
)
STATEMENTS = {"sqlite": _SQLITE, "postgresql": _POSTGRESQL}


def words(text: str) -> str:
    """The words of a text, a space between."""
    apart = unicodedata.normalize("NFKD", text)
    plain = unicodedata.normalize("NFKC", "".join(c for c in apart if not unicodedata.combining(c))).casefold()
    return " ".join(word[:_LONGEST] for word in _WORD.findall(plain) if word.isalnum())
