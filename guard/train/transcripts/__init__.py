"""Ideal transcripts: a model with retrieval and tools writes them, a review by many criteria says which are kept.

    guard transcripts QUESTIONS --out DIR --rubric NAME|FILE ...

One file a step: `questions` (what is asked), `library` and `tools` (what can be looked up and worked out), `caller`
(one call to a model), `generator` (question to transcript), `rubric`, `exact` and `judging` (what is reviewed, in code
and by a model), `reviewer` (all of it together), `journal` (what is done already), `run` (the whole of it, resumable),
`costs` and `output` (what it costs, what is written), `tokens` (rows for a tokenizer), `models` (who writes, who
reviews). It does not know the closed world: that is a facts file and some questions, like any other.
"""
