"""What is being measured, while it is."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from types import TracebackType
from typing import Any

__all__ = ["Progress"]


class Progress:
    """One line on the terminal that says what is being measured; silent elsewhere.

    It changes only when told to: an animation would use the core that is being timed.
    """

    def __init__(self) -> None:
        self._live: Any = None

    def __enter__(self) -> Progress:
        """Take the line."""
        if sys.stderr.isatty() and find_spec("rich") is not None:
            console: Any = import_module("rich.console").Console(stderr=True)
            live: Any = import_module("rich.live")
            self._live = live.Live(console=console, auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Clear it."""
        if self._live is not None:
            self._live.stop()
        elif sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")

    def say(self, text: str) -> None:
        """Replace the line."""
        if self._live is not None:
            self._live.update(text, refresh=True)
        elif sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
