"""Two installed builds against each other: is the new one slower anywhere?

``python -m bench.builds --before PYTHON --after PYTHON``, each of them an interpreter that imports
the build it stands for, on a quiet machine. The modules read in the order `rows` (what is timed),
`side` (the process of a build), `compare` (rounds in alternation), `table`.
"""
