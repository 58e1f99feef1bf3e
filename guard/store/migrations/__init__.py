"""How a database gets the tables that this guard needs: alembic's migrations, one file a schema.

A migration is never changed once it has been released and imports nothing of the store: what a record or a row means
may change later, what the migration does may not.
"""
