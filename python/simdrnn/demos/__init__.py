"""Demonstrations that train something real in under a minute: ``simdrnn demo NAME``.

Every module here is one of them, with `add_arguments` and `run` for the command line.
"""

from __future__ import annotations

import argparse
import math

__all__ = ["DemoError", "non_negative_integer", "positive_integer", "positive_number"]


class DemoError(Exception):
    """Something the user can mend; the message is one sentence that says how."""


def positive_integer(text: str) -> int:
    """Read an option that is a positive integer, for argparse."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a positive integer, got {text!r}")
    return int(text)


def non_negative_integer(text: str) -> int:
    """Read an option that is an integer from 0, for argparse."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"expected a non-negative integer, got {text!r}")
    return int(text)


def positive_number(text: str) -> float:
    """Read an option that is a positive finite number, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (number > 0.0 and math.isfinite(number)):
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text!r}")
    return number
