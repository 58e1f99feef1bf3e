"""The built-in closed world: fictional people and places, a tiny policy model that confabulates about them,
and measures.

Everything that is true here is in `facts.jsonl`, so a supervisor that reads that file is exact. Importing
this package loads neither torch nor transformers; only `build` does.
"""
