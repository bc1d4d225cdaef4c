"""Rules across profile, media and host, one module per subject; `plan.checks` is their front.

Every finding has a rule id that `plan/rules/book` explains.
"""
