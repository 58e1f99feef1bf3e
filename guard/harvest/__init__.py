"""The log written out as a data set: selected, made into rows, de-duplicated, split and described.

A source (the store, an archive) gives records, oldest first; a maker turns each into rows; a sink keeps the first of
what is the same, puts each row into its split and writes the files, all or none. Where the makers run is the engine's
affair: in this process, or spread by Ray. Both feed the same sink in the same order, so the files are the same, byte
for byte. Nothing grows with the log: what has to be remembered is in a temporary file.

Stands on the store, the archive and the exporters; knows no command line.
"""
