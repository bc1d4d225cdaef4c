"""Sticks for physical machines: what is on them, writing them safely, proving it."""
