"""An interruption as context and target: what every training format is made from.

Below the exporters, because several of them need it. `repeats` finds a claim in a text, `wording` says what is to be
learnt, `example` puts it behind its conversation, `rendering` writes that with the target model's template, `tokens`
spells it exactly, `texts` sees to it that a trainer reads plain text as it is meant, `rows` has the parts that rows of
several formats share, `selection` which records they are made of. `labels` says of a whole session what in it is right.
It knows records and policies; no format, no files.
"""
