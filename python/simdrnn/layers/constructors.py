"""The one constructor of layers and single steps, whatever the cell and the engine.

A class declares its arguments (those in `simdrnn.layers.kinds` do) and hands them by name to
`_construct`, of layers or of single steps; what both do with them is said here.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from types import FunctionType
from typing import Any, NamedTuple, TypeVar

import numpy as np

from simdrnn.engine.protocol import Network
from simdrnn.layers.bound import BoundLayer
from simdrnn.spec.cell import CellInfo
from simdrnn.spec.layer import LayerSpec
from simdrnn.spec.options import Options
from simdrnn.spec.parameters import Sizes, initialise
from simdrnn.spec.structure import Structure
from simdrnn.validate import Array, as_bool, as_dtype, as_probability, as_seed, check_choice

__all__ = [
    "Binding",
    "bound_to",
    "configuration",
    "construct_cell",
    "construct_layer",
    "defaults_of",
    "gru_cell",
    "lstm_cell",
    "redeclared",
    "rnn_cell",
    "shown",
]

_Class = TypeVar("_Class", bound=type)

# Arguments that a layer is not shown with, or shown with in a way of their own.
_APART = {"dtype", "seed", "initializer", "forget_bias"}

# Methods that are called with arguments.
_CALLED = (
    "__init__", "__call__", "record", "stream", "last_output", "workspace_bytes", "load_state_dict",
    "save",
)  # fmt: skip


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


def defaults_of(construct: Any) -> dict[str, object]:
    """Return the arguments that a layer is shown with where they are not the default."""
    code: Any = construct.__code__
    positional, after = construct.__defaults__ or (), construct.__kwdefaults__ or {}
    names = code.co_varnames[code.co_argcount - len(positional) : code.co_argcount]
    found = dict(zip(names, positional, strict=True)) | after
    return {name: default for name, default in found.items() if name not in _APART}


def rnn_cell(nonlinearity: str) -> str:
    """Name the cell of an RNN."""
    check_choice("nonlinearity", nonlinearity, ("tanh", "relu"))
    return f"rnn_{nonlinearity}"


def gru_cell(reset_after: bool) -> str:
    """Name the cell of a GRU."""
    return "gru" if as_bool("reset_after", reset_after) else "gru_reset_before"


def lstm_cell(peephole: bool, coupled_input_forget: bool | str) -> str:
    """Name the cell of an LSTM."""
    name = "lstm_peephole" if as_bool("peephole", peephole) else "lstm"
    if isinstance(coupled_input_forget, str):
        check_choice("coupled_input_forget", coupled_input_forget, ("input", "forget"))
        return f"{name}_coupled_{coupled_input_forget}"
    coupled = as_bool("coupled_input_forget", coupled_input_forget)
    return f"{name}_coupled_input" if coupled else name


def construct_layer(self: Any, given: dict[str, Any]) -> None:
    """Check what the constructor of a `RecurrentLayer` was given, in order, and build it.

    Parameters
    ----------
    given : the arguments by name.
    """
    cell = _chosen_cell(self, given)
    self.batch_first = as_bool("batch_first", given["batch_first"])
    self.dropout = as_probability("dropout", given["dropout"])
    self.bidirectional = as_bool("bidirectional", given["bidirectional"])
    sizes = Sizes.check(
        given["input_size"], given["hidden_size"], given["num_layers"], self.bidirectional,
        as_bool("bias", given["bias"]), given.get("proj_size", 0),
    )  # fmt: skip
    structure, options = Structure.parse(given["options"])
    sizes = structure.sizes(sizes)
    self.num_layers = sizes.num_layers
    if self.dropout > 0 and sizes.num_layers == 1 and "_given" not in self.__dict__:
        warnings.warn(
            "dropout: acts between layers, and num_layers=1 has no such place", stacklevel=3
        )
    if "proj_size" in given:
        self.proj_size = sizes.projected_size
    _bind(self, cell, sizes, structure, given | {"options": options}, suffixes=True)
    self._recorded = 0
    # Whether the engine's short way of calling does all that a call without options asks for.
    self._short = not (self.batch_first or structure.learn_initial_state)


def construct_cell(self: Any, given: dict[str, Any]) -> None:
    """Check what the constructor of a `RecurrentCell` was given, in order, and build it.

    Parameters
    ----------
    given : the arguments by name.
    """
    name, options = _chosen_cell(self, given), given["options"]
    if "proj_size" in options:
        raise ValueError(
            "proj_size: expected the layer LSTM, which alone has projections, "
            f"got {options['proj_size']!r} for a single cell"
        )
    bias = as_bool("bias", given["bias"])
    sizes = Sizes.check(given["input_size"], given["hidden_size"], 1, False, bias)
    _bind(self, name, sizes, Structure(), given, suffixes=False)


def _chosen_cell(self: Any, given: dict[str, Any]) -> str:
    """Name the cell that arguments choose, and keep these."""
    switches = {name: given[name] for name in self._switches}
    cell: str = self._cell(**switches)
    for name, value in switches.items():
        setattr(self, name, value if isinstance(value, str) else bool(value))
    return cell


def _bind(
    self: Any,
    cell: str,
    sizes: Sizes,
    structure: Structure,
    given: dict[str, Any],
    *,
    suffixes: bool,
) -> None:
    """Draw the parameters of a layer or single step, and bind it to the engine of its class."""
    binding: Binding = self._binding
    info, dropout = binding.cells()[cell], given.get("dropout", 0.0)
    self.dtype, self.seed = as_dtype(given["dtype"]), as_seed(given["seed"])
    chosen, forget_bias = given["options"], given.get("forget_bias")
    if forget_bias is not None and info.keep < 0:
        chosen = chosen | {"forget_bias": forget_bias}  # refused there
    beside = [name for name in given if name not in ("self", "options")]
    beside += list(Structure.names()) if suffixes else []
    options = Options.parse(info, chosen, float(dropout), bool(sizes.projected_size), beside)
    norm = options.placement
    if norm is not None and not norm.biases:
        sizes = sizes._replace(bias=False)
    sizes = sizes.with_heads(options.heads)
    self.input_size, self.hidden_size, self.bias = sizes[0], sizes[1], sizes.bias
    self.options, self.structure = options, structure
    batch_first = bool(given.get("batch_first", False))
    spec = LayerSpec(info, sizes, self.dtype, options, structure, batch_first, suffixes)
    passes, learned = spec.passes(), spec.learned_states()

    def draw() -> dict[str, Array]:
        values = initialise(
            passes, sizes.hidden_size, np.random.default_rng(self.seed), heads=sizes.heads,
            initializer=given["initializer"], forget_bias=forget_bias, cell=info,
        )  # fmt: skip
        return values | {one.name: np.zeros(one.shape) for group in learned for one in group}

    specs = [one for group in (*passes, *learned) for one in group]
    self._bound = BoundLayer(binding.engine, spec, self._own_parameters(specs, draw))
    self._bound.belong_to(self)
    self._ready = self._bound.ready


def configuration(self: Any) -> dict[str, Any]:
    """Return the constructor's keyword arguments, less how parameters were drawn."""
    found: dict[str, Any] = {
        name: getattr(self, name) for name in ("input_size", "hidden_size", *self._defaults)
    }
    found |= {"dtype": self.dtype.name, "seed": self.seed}
    found |= self.structure.active() | self.options.active()
    return found


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


def bound_to(binding: Binding) -> Callable[[_Class], _Class]:
    """Decorate a class of one of the kinds: its layers run on that engine.

    The documentation of its kind comes before its own.
    """

    def decorate(cls: Any) -> Any:
        cls._binding, cls.__module__ = binding, binding.namespace
        if cls.__doc__:  # nothing of it under python -OO
            cls.__doc__ = "\n\n".join(map(inspect.cleandoc, (cls.__base__.__doc__, cls.__doc__)))
        for name in _CALLED:
            inherited = getattr(cls, name, None)
            if isinstance(inherited, FunctionType):
                setattr(cls, name, _called_as(inherited, f"{cls.__name__}.{name}"))
        if binding.dtype != "float32":
            cls.__init__ = redeclared(cls.__init__, dtype=binding.dtype)
        return cls

    return decorate


def _called_as(method: FunctionType, name: str) -> FunctionType:
    """Return a method under a name of its own, at no cost: it is the same code.

    Where arguments do not fit, Python's sentence begins with that name.
    """
    made = FunctionType(
        method.__code__, method.__globals__, method.__name__, method.__defaults__,
        method.__closure__,
    )  # fmt: skip
    made.__dict__.update(method.__dict__)
    made.__kwdefaults__, made.__annotations__ = method.__kwdefaults__, method.__annotations__
    made.__doc__, made.__module__, made.__qualname__ = method.__doc__, method.__module__, name
    return made


def redeclared(
    construct: Callable[..., None], without: Sequence[str] = (), **defaults: object
) -> Callable[..., None]:
    """Return a constructor with other defaults of its keywords, or without some of them."""
    declared = inspect.signature(construct)
    parameters = [
        one.replace(default=defaults.get(one.name, one.default))
        for one in declared.parameters.values()
        if one.name not in without
    ]

    @wraps(construct)
    def construct_so(self: Any, *args: Any, **given: Any) -> None:
        construct(self, *args, **(defaults | given))

    construct_so.__signature__ = declared.replace(parameters=parameters)  # type: ignore[attr-defined]
    return construct_so
