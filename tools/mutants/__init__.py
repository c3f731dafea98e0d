"""Faults that are planted on purpose, to see whether the suite notices them.

    python -m tools.mutants --list
    python -m tools.mutants --baseline
    python -m tools.mutants --jobs 2 --json build/mutants/results.json

`faults/` has them as data. Those of csrc are all in one build, each behind a switch on the
environment variable SIMDRNN_MUTANT; those of the package are planted one at a time, in a copy. A
mutant that survives is a hole in the suite, or equivalent to the sources: then its row says why.
"""
