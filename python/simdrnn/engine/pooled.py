"""Networks that all calls share which name them, for programs that other compilers make.

Parameters come with every call. Packed copies of them are kept, and found again by comparing the
parameters bit by bit; see ``csrc/python/pooled_network.hpp``. How a call is written down is said in
``csrc/python/buffer_call.hpp``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from simdrnn import _core
from simdrnn.engine.compiled import option_values
from simdrnn.spec.cell import CellInfo
from simdrnn.spec.options import Options
from simdrnn.spec.parameters import Sizes
from simdrnn.validate import Array

__all__ = ["entry", "release_shared_networks", "run_arrays", "share_network"]

_MAKERS = {"float32": _core.share_network_f32, "float64": _core.share_network_f64}


def share_network(info: CellInfo, dtype: np.dtype[Any], sizes: Sizes, options: Options) -> int:
    """Make the network of this description, unless there is one, and return its number.

    The number is a digest of the description. So a program that was compiled and kept by another
    process names the same network, or one that this process has not made.
    """
    description = (info.name, dtype.name, tuple(sizes), options, options.dropout)
    digest = hashlib.sha256(repr(description).encode()).digest()
    number = int.from_bytes(digest[:8], "little", signed=True)
    _MAKERS[dtype.name](
        number, info.name, sizes.input_size, sizes.hidden_size, sizes.num_layers,
        sizes.num_directions, sizes.projected_size, sizes.bias, option_values(info.name, options),
    )  # fmt: skip
    return number


def run_arrays(fields: Sequence[int], arguments: Sequence[Array], results: Sequence[Array]) -> None:
    """Run a call on C-contiguous arrays; `results` are overwritten."""
    _core.run_arrays(list(fields), list(arguments), list(results))


def release_shared_networks() -> int:
    """Forget packed parameters that no call is using; return how many bytes that were."""
    return _core.release_shared_networks()


def entry() -> object:
    """Return the capsule through which other extensions run such calls."""
    return _core.run_buffers
