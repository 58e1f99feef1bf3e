"""The HTTP face: routes, and `wire`, which is pure."""
