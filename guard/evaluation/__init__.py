"""Measuring supervision through the live path."""
