"""The repository's own measurements; what a user measures with is `simdrnn bench`.

`README.md` is the lab book and says how to run what is here.
"""
