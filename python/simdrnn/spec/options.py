"""Options that any cell can carry: clips, activations, dropouts, zoneout, noise on weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields

from simdrnn.spec.activations import Activation, parse_activation
from simdrnn.spec.cell import CellInfo
from simdrnn.spec.layer_norm import PLACEMENTS, Placement, as_placement
from simdrnn.spec.saved_layout import SavedLayout
from simdrnn.validate import as_bool, as_chance, as_positive, as_positive_number

__all__ = ["Options"]

_CLIPS = ("gate_clip", "cell_clip", "proj_clip", "hidden_clip", "step_grad_clip", "step_grad_norm")
_CHANCES = ("input_dropout", "recurrent_dropout", "candidate_dropout", "weight_dropout")
_ACTIVATIONS = ("activation", "recurrent_activation", "output_activation")

Zoneout = float | tuple[float, ...]
OneOrMore = Activation | tuple[Activation, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """Options of one layer; None switches one off.

    Parameters
    ----------
    gate_clip : bound on the argument of every gate activation (ONNX ``clip``).
    cell_clip : bound on c after its update, where the cell has one; the clipped c is what is
        carried.
    proj_clip : bound on h after its projection, where the layer has ``proj_size``; the clipped h
        is output and carried (TensorFlow's ``proj_clip``).
    hidden_clip : bound on h after its update; the clipped h is output and carried. Not together
        with a projection.
    step_grad_clip : at every step of back-propagation, bound on each element of the part of
        dL/dh_t that arrives from later steps, before dL/dy_t is added.
    step_grad_norm : the same, as a bound on that part's Euclidean norm, row by row.
        With both, the elements are clipped first. Clips have their true derivative: 0 where
        reached.
    input_dropout : probability of dropping a feature of a layer's input, in training: one mask
        for all steps of a row, shared by both directions (Gal and Ghahramani 2016,
        arXiv:1512.05287).
    recurrent_dropout : the same of h_{t-1} on its way into the recurrent product, which alone
        sees it: one mask for all steps and gates of a row.
    recurrent_dropout_per_gate : whether every gate has a mask of its own instead, as in Keras.
    candidate_dropout : probability of dropping a unit of the candidate on its way into the state,
        anew at every step, in training (Semeniuta et al. 2016, arXiv:1603.05118).
    zoneout : probability of a unit keeping its state, anew at every step; where not training,
        the mean of both instead (Krueger et al. 2016, arXiv:1606.01305). A pair (p_h, p_c) where
        there is a c, which one number stands for twice. h is made of the new c.
    state_noise : standard deviation s of Gaussian noise on the state, of every unit its own and
        anew at every step, in training: the argument of an RNN's activation, or the current v of a
        CTRNN, gets ``sqrt(2 a) * s * N(0, 1)``, a being the CTRNN's leak and 1 in an RNN (Song,
        Yang and Wang 2016, PLoS Computational Biology 12(2)).
    weight_dropout : probability of dropping a recurrent weight, in training: one mask for all
        steps and rows of a recorded call (DropConnect: Wan et al. 2013; Merity et al. 2017,
        arXiv:1708.02182).
    weight_noise : standard deviation of Gaussian noise added to every weight and bias, in training:
        drawn once for each recorded call (Graves 2011; Graves 2013, arXiv:1308.0850). Not to a
        CTRNN's leak.
    activation : of the candidate; by name, or (name, alpha, beta): see `simdrnn.spec.activations`.
    recurrent_activation : of the gates that are sigmoids by default; a list names one for each.
    output_activation : what makes h of c: tanh by default, and not changed by `activation` (as in
        ONNX; Keras changes both).
    num_heads : how many blocks along its diagonal the recurrent matrix of every gate is cut into,
        for cells that have heads: a unit then sees only the h of its own head. It divides
        hidden_size; ``weight_hh`` is (G*H, H/num_heads). None is 1.
    layer_norm : True or ``"haste"``, ``"torch"`` or ``"tf"``: layer normalisation of W x and of
        R h, each over all gates of a row, and of an LSTM's c; see `simdrnn.spec.layer_norm`.
    dropout : between layers; the layer's own argument.
    activations : of every gate and of the output, by place; worked out by `parse`.

    Examples
    --------
    >>> Options(cell_clip=10.0)
    Options(cell_clip=10.0)
    """

    gate_clip: float | None = None
    cell_clip: float | None = None
    proj_clip: float | None = None
    hidden_clip: float | None = None
    step_grad_clip: float | None = None
    step_grad_norm: float | None = None
    input_dropout: float | None = None
    recurrent_dropout: float | None = None
    recurrent_dropout_per_gate: bool | None = None
    candidate_dropout: float | None = None
    zoneout: Zoneout | None = None
    state_noise: float | None = None
    weight_dropout: float | None = None
    weight_noise: float | None = None
    activation: Activation | None = None
    recurrent_activation: OneOrMore | None = None
    output_activation: Activation | None = None
    num_heads: int | None = None
    layer_norm: str | None = None
    dropout: float = field(default=0.0, repr=False)
    activations: tuple[Activation, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Check every value that is not None and store it in its own form."""
        for name in (*_CLIPS, "state_noise", "weight_noise"):
            self._store(name, as_positive_number)
        for name in _CHANCES:
            self._store(name, as_chance)
        self._store("recurrent_dropout_per_gate", as_bool)
        self._store("zoneout", _zoneout)
        self._store("num_heads", as_positive)
        self._store("layer_norm", as_placement)
        for name in _ACTIVATIONS:
            self._store(name, _one_or_more if name == "recurrent_activation" else parse_activation)

    def _store(self, name: str, check: Callable[[str, object], object]) -> None:
        """Replace the value of a field by what `check` makes of it."""
        value = getattr(self, name)
        if value is not None:
            object.__setattr__(self, name, check(name, value))

    def __repr__(self) -> str:
        """Show what is switched on."""
        return f"Options({', '.join(f'{name}={value!r}' for name, value in self.active().items())})"

    def active(self) -> dict[str, object]:
        """Return the options that are switched on, by name, as a constructor takes them."""
        values = ((f.name, getattr(self, f.name)) for f in fields(self) if f.repr)
        return {name: _argument(value) for name, value in values if value is not None}

    @property
    def dropout_per_gate(self) -> bool:
        """Whether gates drop an h of their own."""
        return bool(self.recurrent_dropout and self.recurrent_dropout_per_gate)

    @property
    def heads(self) -> int:
        """Blocks of every gate's recurrent matrix."""
        return self.num_heads or 1

    def zoneouts(self, states: int) -> tuple[float, ...]:
        """Return the zoneout probability of each state, h first."""
        if self.zoneout is None:
            return (0.0,) * states
        return self.zoneout if isinstance(self.zoneout, tuple) else (self.zoneout,) * states

    @property
    def placement(self) -> Placement | None:
        """Where layer normalisation acts; None where it does not."""
        return None if self.layer_norm is None else PLACEMENTS[self.layer_norm]

    def keeps_carried(self, states: int) -> bool:
        """Whether a step saves the states that are carried on beside those that the cell made."""
        return any(self.zoneouts(states))

    def saved(self, cell: CellInfo) -> SavedLayout:
        """Return where a step's values are on the tape."""
        norms = 0 if self.placement is None else self.placement.saved(cell)
        return SavedLayout.of(cell, norms, keeps_carried=self.keeps_carried(cell.states))

    @classmethod
    def parse(
        cls,
        cell: CellInfo,
        given: Mapping[str, object],
        dropout: float = 0.0,
        projected: bool = False,
        beside: Sequence[str] = (),
    ) -> Options:
        """Build the options of a layer from its constructor's keyword arguments.

        Parameters
        ----------
        cell : the cell that will carry them.
        given : values by name; None is off.
        dropout : between layers.
        projected : whether h is projected.
        beside : what else the constructor takes, for the message about a name that is unknown.

        Raises
        ------
        TypeError : a name is unknown.
        ValueError : a value is out of range, or the cell has nothing for the option to act on.
        """
        known = [f.name for f in fields(cls) if f.repr]
        for name in given:
            if name == "forget_bias" and given[name] is not None:
                raise ValueError(
                    f"forget_bias: expected a cell with a forget gate, got {cell.name}"
                )
            if name == "proj_size":
                raise ValueError(
                    "proj_size: expected the layer LSTM, which alone has projections, "
                    f"got {given[name]!r} for {cell.name}"
                )
            if name not in known and name != "forget_bias":
                raise TypeError(_unknown(name, [*known, *beside]))
        values = {name: given[name] for name in known if name in given}
        options = cls(**values, dropout=dropout)  # type: ignore[arg-type]
        return options.fitted_to(cell, projected)

    def fitted_to(self, cell: CellInfo, projected: bool) -> Options:
        """Return them with the activation of every place, if the cell can carry them."""
        self._check_cell(cell)
        self._check_projection(projected)
        object.__setattr__(self, "activations", self._by_place(cell))
        return self

    def _check_cell(self, cell: CellInfo) -> None:
        """Raise where the cell has nothing for an option to act on."""
        recurrent = (cell.recurrent_blocks > 0, "a cell with a recurrent product")
        places = {
            "cell_clip": (cell.states > 1, "a cell with a c state"),
            "recurrent_dropout": recurrent,
            "weight_dropout": recurrent,
            "candidate_dropout": (cell.candidate >= 0, "a cell with a candidate"),
            "state_noise": (cell.noisy, "a cell with a place for it, RNN or CTRNN"),
            "num_heads": (cell.heads, "a cell with heads"),
            "layer_norm": (
                cell.normalisable,
                "a cell whose gates are all sums of W x, R h and biases, formed at once, as those "
                "of a GRU with reset_after=True",
            ),
        }
        for name, (there, wanted) in places.items():
            if getattr(self, name) is not None and not there:
                raise ValueError(f"{name}: expected {wanted}, got {cell.name}")
        if self.recurrent_dropout_per_gate and self.recurrent_dropout is None:
            raise ValueError(
                "recurrent_dropout_per_gate: expected recurrent_dropout with it, got none"
            )
        if isinstance(self.zoneout, tuple) and len(self.zoneout) != cell.states:
            form = "one number" if cell.states == 1 else f"one number or {cell.states}"
            raise ValueError(f"zoneout: expected {form} for {cell.name}, got {self.zoneout}")

    def _check_projection(self, projected: bool) -> None:
        """Raise where an option clips what there is not, or not there."""
        if self.proj_clip is not None and not projected:
            raise ValueError(
                f"proj_clip: expected an LSTM with proj_size > 0, got {self.proj_clip}"
            )
        if self.hidden_clip is not None and projected:
            raise ValueError(
                f"hidden_clip: expected proj_clip in place of it where h is projected, "
                f"got {self.hidden_clip}"
            )
        if self.layer_norm is not None and projected:
            raise ValueError(
                "layer_norm: expected an LSTM with proj_size=0, whose h is not projected, "
                f"got {self.layer_norm!r}"
            )

    def _by_place(self, cell: CellInfo) -> tuple[Activation, ...]:
        """Return the activation of every place of the cell."""
        defaults = cell.default_activations
        of_gates = defaults[: cell.gate_activations]
        sigmoids = [i for i, name in enumerate(of_gates) if name == "sigmoid"]
        others = [i for i in range(len(of_gates)) if i not in sigmoids]
        places = {
            "activation": [i for i in others if defaults[i] != "-"],
            "recurrent_activation": sigmoids,
            "output_activation": list(range(cell.gate_activations, len(defaults))),
        }
        chosen = [
            parse_activation("activation", "identity" if name == "-" else name) for name in defaults
        ]
        for name, where in places.items():
            value = getattr(self, name)
            if value is None:
                continue
            if not where:
                raise ValueError(f"{name}: expected a cell with such a gate, got {cell.name}")
            several = not isinstance(value, Activation)
            if several and len(value) != len(where):
                raise ValueError(
                    f"{name}: expected one activation, or a list of {len(where)}, "
                    f"got a list of {len(value)}"
                )
            for place, one in zip(where, value if several else [value] * len(where), strict=True):
                chosen[place] = one
        return tuple(chosen)


def _unknown(name: str, known: Sequence[str]) -> str:
    """Say that there is no such argument, which there are, and which may have been meant."""
    from difflib import get_close_matches  # only now: it is no small module

    close = get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"{name}: unknown option; expected one of {', '.join(known)}{hint}"


def _zoneout(name: str, value: object) -> Zoneout:
    """Return a probability, or a tuple of one for each state."""
    if isinstance(value, (tuple, list)):
        return tuple(as_chance(f"{name}[{k}]", one) for k, one in enumerate(value))
    return as_chance(name, value)


def _one_or_more(name: str, value: object) -> OneOrMore:
    """Return an activation, or a tuple of them for a list."""
    one = isinstance(value, (str, Activation))
    if not one and isinstance(value, tuple):  # of activations, as this returns it
        one = not all(isinstance(item, Activation) for item in value)
    if one or not isinstance(value, Sequence):
        return parse_activation(name, value)
    return tuple(parse_activation(f"{name}[{k}]", item) for k, item in enumerate(value))


def _argument(value: object) -> object:
    """Write a value as a constructor takes it."""
    if isinstance(value, Activation):
        return value.argument
    if isinstance(value, tuple) and value and isinstance(value[0], Activation):
        return [one.argument for one in value]
    return value
