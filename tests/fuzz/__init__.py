"""Mutated inputs for every parser of a foreign format; `python -m tests.fuzz --help`."""
