"""The schemas of the tables, in order."""
