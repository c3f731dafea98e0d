"""One call, run: what an engine is, the compiled one, and what puts layers of it together."""
