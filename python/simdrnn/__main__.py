"""``python -m simdrnn`` is ``simdrnn``."""

from __future__ import annotations

from simdrnn.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    raise SystemExit(main())
