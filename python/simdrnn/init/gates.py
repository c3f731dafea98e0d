"""What the gates of a cell are for: the one place that says which gate plays which role."""

from __future__ import annotations

from typing import NamedTuple

from simdrnn.cells import CellInfo

__all__ = ["ROLES", "Roles", "memory_gates"]


class Roles(NamedTuple):
    """Which gate, an index of blocks of H rows, decides how long a unit remembers.

    Parameters
    ----------
    keep : the gate that multiplies the old state; its bias sets the time scale.
    write : the gate that multiplies what is added, or None where that is 1 minus `keep`.
    """

    keep: int
    write: int | None


# A new cell with such gates gets a line here; one without is refused by what needs them.
ROLES: dict[str, Roles] = {
    "lstm": Roles(keep=1, write=0),  # i, f, g, o
    "gru": Roles(keep=1, write=None),  # r, z, n, and h' = n + z (h - n)
    "gru_reset_before": Roles(keep=1, write=None),
}


def memory_gates(name: str, cell: CellInfo) -> Roles:
    """Return the roles of the gates of `cell`.

    Parameters
    ----------
    name : of the argument that asks, for the message.
    cell : the cell of the layer.

    Raises
    ------
    ValueError : it has no gate that decides how long it remembers.

    Examples
    --------
    >>> rnn = CellInfo("rnn_tanh", gates=1, separate=0, states=1, saved=0)
    >>> memory_gates("bias", rnn)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: bias: expected a cell with a forget or update gate (lstm, ...), got rnn_tanh
    """
    roles = ROLES.get(cell.name)
    if roles is None:
        known = ", ".join(ROLES)
        raise ValueError(
            f"{name}: expected a cell with a forget or update gate ({known}), got {cell.name}"
        )
    return roles
