"""Training scripts for researchers: straight, readable, no registry and no base classes."""
