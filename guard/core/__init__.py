"""The pure heart: no I/O, no async, no clock, no randomness, no logging, no ids of its own.

Everything here can be replayed from a list of events and enumerated without an event loop.
"""
