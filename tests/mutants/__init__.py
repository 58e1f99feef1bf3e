"""Each rule of the session, switched off on purpose: a named test must notice (`make mutants`)."""
