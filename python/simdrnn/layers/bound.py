"""What layers and single cells share: parameters, and an engine that is kept up to date."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from simdrnn.engine.protocol import Network, ParameterArrays
from simdrnn.layers.arguments import CallSpec
from simdrnn.layers.learned_states import LearnedStates, state_specs
from simdrnn.layers.parametrised import Parametrised
from simdrnn.spec.cell import CellInfo
from simdrnn.spec.options import Options
from simdrnn.spec.parameters import Sizes, initialise, parameter_specs
from simdrnn.spec.structure import Structure
from simdrnn.validate import Array, as_dtype, as_seed

__all__ = ["EngineUser"]

_PLAIN = Structure()


def _make_engine(engine: type[Network], structure: Structure) -> Callable[..., Network]:
    """Return what makes the network of a layer: the engine, or what puts layers of it together."""
    if not structure.composed:
        return engine
    from simdrnn.engine.composed import Composed

    return partial(Composed, engine, structure)


class EngineUser(Parametrised):
    """Base of what runs a stack of one cell on an engine: layers, and single cells.

    Subclasses bind an engine: they define the class attribute `engine` and `cell_infos`.
    """

    engine: ClassVar[type[Network]]

    _defaults: ClassVar[dict[str, object]] = {"bias": True}
    _fixed = Parametrised._fixed | {"input_size", "hidden_size", "seed", "options", "structure"}

    input_size: int
    hidden_size: int
    bias: bool
    seed: int
    options: Options
    structure: Structure

    @staticmethod
    def cell_infos() -> Mapping[str, CellInfo]:
        """Return the engine's cells by name."""
        raise NotImplementedError

    def _setup(
        self,
        cell: str,
        sizes: Sizes,
        dtype: npt.DTypeLike,
        seed: int | None,
        *,
        batch_first: bool = False,
        suffixes: bool = True,
        initializer: str = "uniform",
        forget_bias: float | None = None,
        structure: Structure = _PLAIN,
        options: Mapping[str, object],
        dropout: float = 0.0,
    ) -> None:
        """Draw the parameters and build the engine."""
        self._info = self.cell_infos()[cell]
        self._batch_first = batch_first
        self.dtype = as_dtype(dtype)
        self.seed = as_seed(seed)
        self.options = Options.parse(self._info, options, dropout, bool(sizes.projected_size))
        norm = self.options.placement
        if norm is not None and not norm.biases:
            sizes = sizes._replace(bias=False)
        self._sizes = sizes = sizes.with_heads(self.options.heads)
        self.input_size, self.hidden_size, self.bias = sizes[0], sizes[1], sizes.bias
        self.structure = structure
        self._groups = parameter_specs(self._info, sizes, suffixes=suffixes, norm=norm)
        self._state_specs = []
        if structure.learn_initial_state:
            self._state_specs = state_specs(self._state_names, sizes)

        def draw() -> dict[str, Array]:
            values = initialise(
                self._groups, self.hidden_size, np.random.default_rng(self.seed),
                heads=sizes.heads, initializer=initializer, forget_bias=forget_bias,
                cell=self._info,
            )  # fmt: skip
            states = (spec for group in self._state_specs for spec in group)
            return values | {spec.name: np.zeros(spec.shape) for spec in states}

        specs = [spec for group in (*self._groups, *self._state_specs) for spec in group]
        self._own_parameters(specs, draw)
        self._connect()

    def _connect(self) -> None:
        """Build the engine, which takes the parameters when it first runs."""
        input_size, hidden_size, layers, directions = self._sizes[:4]
        self._engine = _make_engine(self.engine, self.structure)(
            self._info.name, self.dtype, input_size, hidden_size, layers, directions, self.options,
            self._sizes.projected_size,
        )  # fmt: skip
        learned = None
        if self.structure.learn_initial_state:
            learned = LearnedStates(self._state_specs, self._parameters)
        self._call = CallSpec(
            self.dtype, input_size, layers * directions,
            self._sizes.state_sizes(self._info.states), self._sizes.h_letter, self._state_names,
            self._batch_first, learned, self._info.name,
            takes_attention=self._info.step_inputs > 0,
        )  # fmt: skip
        self._lock = threading.Lock()
        self._stamp: tuple[int, Hashable] | None = None

    @property
    def _state_names(self) -> tuple[str, ...]:
        """Names of the initial states, as errors and parameters have them."""
        return tuple(f"{state.name}_0" for state in self._info.carried)

    def _ready(self) -> Network:
        """Return the engine, holding the present parameters."""
        engine = self._engine
        stamp = self._stamp
        if stamp is None or stamp[0] != self._version or stamp[1] != engine.token():
            self._prepare()
        return engine

    def _prepare(self) -> None:
        """Hand the present parameters to the engine."""
        with self._lock:  # of several first callers one prepares; the others must not again
            stamp = (self._version, self._engine.token())
            if self._stamp == stamp:
                return
            parameters = self._per_unit(self._parameters)
            for index in range(len(self._groups)):
                self._engine.set_parameters(index, *self._direction(parameters, index))
            self._stamp = stamp

    def _direction(
        self, arrays: Mapping[str, Array], index: int, *, gradients: bool = False
    ) -> ParameterArrays:
        """Pick what belongs to one layer and direction, as engines take it, from named arrays.

        Biases that stand side by side are one to an engine; `gradients` are written to the first.
        """
        names = [spec.name for spec in self._groups[index]]
        end = names[0].removeprefix("weight_ih")  # as in weight_ih_l1_reverse

        def pick(name: str) -> Array | None:
            name += end
            return arrays[name] if name in names else None

        own = [pick(own.name) for own in self._info.own]
        biases = (pick("bias_ih"), pick("bias_hh"))
        norm = self.options.placement
        if norm is not None:
            norms = [arrays[name + end] for name, *_ in norm.parameters(self._info)]
            own += norm.own(self._info, norms)
            biases = norm.biases_of(biases, norms, add=not gradients)
        return ParameterArrays(
            arrays[names[0]], pick("weight_hh"), *biases, tuple(own), pick("weight_hr")
        )

    def _per_unit(self, parameters: Mapping[str, Array]) -> dict[str, Array]:
        """Repeat what all units share for each of them, as engines take it."""
        return {
            name: np.repeat(array, self.hidden_size) if self._is_shared(name) else array
            for name, array in parameters.items()
        }

    def _gradient_arrays(self) -> dict[str, Array]:
        """Allocate what an engine writes gradients of parameters to."""
        return {
            name: np.empty(self.hidden_size if self._is_shared(name) else spec.shape, self.dtype)
            for name, spec in self._specs.items()
        }

    def _shared(self, gradients: dict[str, Array]) -> dict[str, Array]:
        """Sum the units' gradients for what they share; the inverse of `_per_unit`.

        And copy those of biases for what stands beside them.
        """
        if self.bias:
            for name in gradients:
                if name.startswith("bias_ln_") and (beside := name.replace("_ln", "")) in gradients:
                    np.copyto(gradients[name], gradients[beside])
        return {
            name: array.sum(keepdims=True) if self._is_shared(name) else array
            for name, array in gradients.items()
        }

    def _is_shared(self, name: str) -> bool:
        """Tell whether a parameter is one number for all units."""
        return self._specs[name].letters == ("1",)

    def _configuration(self) -> dict[str, Any]:
        """Return the constructor's keyword arguments, less how parameters were drawn."""
        own = {name: getattr(self, name) for name in ("input_size", "hidden_size", *self._defaults)}
        own |= {"dtype": self.dtype.name, "seed": self.seed}
        return own | self.structure.active() | self.options.active()

    def __repr__(self) -> str:
        """Show the constructor's arguments that are not the default, as PyTorch does."""
        shown = [str(self.input_size), str(self.hidden_size)]
        for name, default in self._defaults.items():
            if getattr(self, name) != default:
                shown.append(f"{name}={getattr(self, name)!r}")
        if self.dtype != np.float32:
            shown.append(f"dtype={self.dtype.name!r}")
        shown += [f"{name}={value!r}" for name, value in self.structure.active().items()]
        shown += [f"{name}={value!r}" for name, value in self.options.active().items()]
        return f"{type(self).__name__}({', '.join(shown)})"

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickling and copying keep: the engine is built anew."""
        state = super().__getstate__()
        rebuilt = ("_engine", "_call", "_lock", "_stamp")
        return {name: value for name, value in state.items() if name not in rebuilt}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore, with an engine of its own."""
        super().__setstate__(state)
        self._connect()
