"""How much memory a model of others may make us ask for, counted before it is asked for."""

from __future__ import annotations

from simdrnn.validate import as_count

__all__ = ["Budget", "BudgetError"]

_AT_LEAST = 2**28
_TIMES_FILE = 8


class BudgetError(ValueError):
    """A model asks for more than it may."""


class Budget:
    """What is left of the bytes that one model may take.

    Parameters
    ----------
    limit : bytes; None for 8 times the size of its files and 256 MB.

    Attributes
    ----------
    given : whether somebody set the limit.
    taken : bytes until now.
    """

    def __init__(self, limit: object = None) -> None:
        self.given = limit is not None
        self.limit = _AT_LEAST if limit is None else as_count("memory_limit", limit)
        self.taken = 0

    def brought(self, size: int) -> None:
        """Allow for a file that was read, of so many bytes."""
        if not self.given:
            self.limit += _TIMES_FILE * size

    def take(self, what: str, size: int) -> None:
        """Count bytes that are about to be taken.

        Parameters
        ----------
        what : what takes them, for the message.
        size : how many.

        Raises
        ------
        BudgetError : they are too many.
        """
        if size > self.limit - self.taken:
            raise BudgetError(
                f"{what}: expected a model that makes at most {self.limit} bytes of all values, "
                f"got {self.taken} and {size} more; memory_limit= allows another number"
            )
        self.taken += size
