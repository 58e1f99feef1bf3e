"""What schema 2 finds words with: a table of SQLite's FTS5 that triggers keep, or a column of PostgreSQL's."""

from __future__ import annotations

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
