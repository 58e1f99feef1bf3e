"""The loop that the product is about, on the closed world and from nothing: a lesson, a wrong-thinker, its supervised
answers, and what training on the log of them does.

`running` runs the `stages`, `report` tells. Importing this package loads no torch; its modules do.
"""
