"""Progress of a training run, and stopping it with Ctrl-C without losing it."""

from __future__ import annotations

import signal
import sys
import threading
import time
from importlib import import_module
from types import FrameType
from typing import Any, Protocol, TextIO

__all__ = ["Bar", "Interrupt", "PlainLines", "Progress", "open_progress"]

_LINE_SECONDS = 2.0  # between two plain lines, or two redraws of a bar that goes to a file


class Progress(Protocol):
    """What a training loop reports to; a context manager that ends the line on exit."""

    def update(self, done: float, message: str) -> None:
        """Show that `done` of the total is done; cheap enough to be called at every step."""
        ...

    def __enter__(self) -> Progress:
        """Begin."""
        ...

    def __exit__(self, *exception: object) -> None:
        """Show the last message."""
        ...


def open_progress(total: float, unit: str, stream: TextIO | None = None) -> Progress:
    """Return a tqdm bar where tqdm is installed, plain lines otherwise; on stderr by default."""
    stream = sys.stderr if stream is None else stream
    try:
        return Bar(total, unit, stream)
    except ImportError:
        return PlainLines(total, unit, stream)


class PlainLines:
    """One line every two seconds."""

    def __init__(self, total: float, unit: str, stream: TextIO) -> None:
        self._total, self._unit, self._stream = total, unit, stream
        self._written = time.monotonic()
        self._pending = ""

    def update(self, done: float, message: str) -> None:
        """Show `message`, unless a line was shown a moment ago."""
        self._pending = f"{min(done, self._total):4.0f}/{self._total:.0f} {self._unit}  {message}"
        if time.monotonic() - self._written >= _LINE_SECONDS:
            self._write()

    def _write(self) -> None:
        print(self._pending, file=self._stream, flush=True)
        self._written, self._pending = time.monotonic(), ""

    def __enter__(self) -> PlainLines:
        """Begin."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Show the last message, however short ago the one before."""
        if self._pending:
            self._write()


class Bar:
    """A tqdm bar; constructing one raises ImportError where tqdm is not installed."""

    def __init__(self, total: float, unit: str, stream: TextIO) -> None:
        self._total = total
        self._bar: Any = import_module("tqdm").tqdm(
            total=total,
            file=stream,
            bar_format=f"{{n:3.0f}}/{{total:.0f}} {unit} |{{bar}}| {{desc}}",
            mininterval=0.1 if stream.isatty() else _LINE_SECONDS,
            miniters=0,
            dynamic_ncols=True,
        )

    def update(self, done: float, message: str) -> None:
        """Move the bar and show `message`."""
        self._bar.set_description_str(message, refresh=False)
        self._bar.update(min(done, self._total) - self._bar.n)

    def __enter__(self) -> Bar:
        """Begin."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Draw the last state and end the line."""
        self._bar.close()


class Interrupt:
    """Turns the first Ctrl-C within a ``with`` into a request, `requested`; a second one raises.

    A training loop that asks after every step is never stopped half-way through an update. Outside
    the main thread, which alone may handle signals, and where SIGINT is ignored, as in background
    jobs, nothing is changed.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: Any = None

    def __enter__(self) -> Interrupt:
        """Take over SIGINT."""
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            self._previous = signal.signal(signal.SIGINT, self._request)
        return self

    def __exit__(self, *exception: object) -> None:
        """Give SIGINT back."""
        self._restore()

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self._restore()

    def _restore(self) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None
