"""An interruption as context and target: what every training format is made from.

Below the exporters, because several of them need it. `repeats` finds a claim in a text, `wording` says what is to be
learnt, `example` puts it behind its conversation, `rendering` writes that with the target model's template, `tokens`
spells it exactly, `rows` has the parts that rows of several formats share, `selection` which records they are made of.
It knows records and policies; no format, no files.
"""
