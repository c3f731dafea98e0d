"""The one constructor of layers and single steps, whatever the cell and the engine.

A class declares its arguments (those in `simdrnn.layers.kinds` do) and hands them by name to
`_construct`, of layers or of single steps; what both do with them is said here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from simdrnn.engine.protocol import Network
from simdrnn.layers.bound import BoundLayer
from simdrnn.spec.cell import CellInfo
from simdrnn.spec.layer import LayerSpec
from simdrnn.spec.options import Options
from simdrnn.spec.parameters import Sizes, initialise
from simdrnn.spec.structure import Structure
from simdrnn.validate import Array, as_dtype, as_seed

__all__ = [
    "Binding",
    "Setup",
    "bind",
    "configuration",
    "configuration_of_0_1",
    "defaults_of",
    "shown",
]

# Arguments that a layer is not shown with, or shown with in a way of their own.
_APART = {"self", "input_size", "hidden_size", "dtype", "seed", "initializer", "forget_bias"}


class Binding(NamedTuple):
    """An engine, as its layers are bound to it.

    Parameters
    ----------
    engine : which runs them.
    cells : returns its cells by name.
    dtype : of layers that are not told one.
    namespace : the module that users find the classes in, and pickle does.
    text : says so in their documentation.
    """

    engine: type[Network]
    cells: Callable[[], Mapping[str, CellInfo]]
    dtype: str
    namespace: str
    text: str


def defaults_of(construct: Callable[..., None]) -> dict[str, object]:
    """Return the arguments that a layer is shown with where they are not the default."""
    found = inspect.signature(construct).parameters.values()
    shown = (one for one in found if one.name not in _APART and one.kind is not one.VAR_KEYWORD)
    return {one.name: one.default for one in shown}


class Setup(NamedTuple):
    """A constructor's arguments, of which those that shape the network are checked.

    Parameters
    ----------
    cell : its name.
    sizes, structure : of the layer.
    dtype, seed, initializer, forget_bias, options : as given.
    dropout : between layers.
    batch_first : layout of sequences.
    suffixes : whether names of parameters say layer and direction.
    """

    cell: str
    sizes: Sizes
    structure: Structure
    dtype: Any
    seed: int | None
    initializer: str
    forget_bias: float | None
    options: Mapping[str, object]
    dropout: float = 0.0
    batch_first: bool = False
    suffixes: bool = True


def bind(layer: Any, setup: Setup) -> BoundLayer:
    """Draw the parameters of a layer or single step, and bind it to the engine of its class."""
    binding: Binding = layer._binding
    info = binding.cells()[setup.cell]
    layer.dtype = as_dtype(setup.dtype)
    layer.seed = as_seed(setup.seed)
    sizes = setup.sizes
    options = Options.parse(info, setup.options, setup.dropout, bool(sizes.projected_size))
    norm = options.placement
    if norm is not None and not norm.biases:
        sizes = sizes._replace(bias=False)
    sizes = sizes.with_heads(options.heads)
    layer.input_size, layer.hidden_size, layer.bias = sizes[0], sizes[1], sizes.bias
    layer.options, layer.structure = options, setup.structure
    spec = LayerSpec(
        info, sizes, layer.dtype, options, setup.structure, setup.batch_first, setup.suffixes
    )
    passes, learned = spec.passes(), spec.learned_states()

    def draw() -> dict[str, Array]:
        values = initialise(
            passes, sizes.hidden_size, np.random.default_rng(layer.seed), heads=sizes.heads,
            initializer=setup.initializer, forget_bias=setup.forget_bias, cell=info,
        )  # fmt: skip
        return values | {one.name: np.zeros(one.shape) for group in learned for one in group}

    specs = [one for group in (*passes, *learned) for one in group]
    return BoundLayer(binding.engine, spec, layer._own_parameters(specs, draw))


def configuration(self: Any) -> dict[str, Any]:
    """Return the constructor's keyword arguments, less how parameters were drawn."""
    found = {name: getattr(self, name) for name in ("input_size", "hidden_size", *self._defaults)}
    found |= {"dtype": self.dtype.name, "seed": self.seed}
    return found | self.structure.active() | self.options.active()


def shown(self: Any) -> str:
    """Show the constructor's arguments that are not the default, as PyTorch does."""
    texts = [str(self.input_size), str(self.hidden_size)]
    for name, default in self._defaults.items():
        if getattr(self, name) != default:
            texts.append(f"{name}={getattr(self, name)!r}")
    if self.dtype != np.float32:
        texts.append(f"dtype={self.dtype.name!r}")
    active = self.structure.active() | self.options.active()
    texts += [f"{name}={value!r}" for name, value in active.items()]
    return f"{type(self).__name__}({', '.join(texts)})"


def configuration_of_0_1(cls: Any, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the constructor's arguments from the attributes that version 0.1.0 pickled."""
    found = {name: state[name] for name in ("input_size", "hidden_size", *cls._defaults)}
    found |= {"dtype": state["dtype"].name, "seed": state["seed"]}
    return found | state["structure"].active() | state["options"].active()
