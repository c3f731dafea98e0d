"""Whether a layer computes what another package's computes, how far apart they are, and why.

`recognition.py` finds out how to call the other side, `runs.py` calls ours; `arrangement.py` puts
what comes back side by side, `bounds.py` says how far apart it may be, `hints.py` looks for what
explains more than that.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.parity.comparison import Comparison
from simdrnn.parity.peers import Peer
from simdrnn.parity.probes import probes
from simdrnn.parity.recognition import as_peer
from simdrnn.parity.report import ParityReport
from simdrnn.parity.runs import Inputs, as_states
from simdrnn.validate import Array, as_array, as_bool, as_positive, as_seed, check_choice

__all__ = ["ParityReport", "parity_report"]


def parity_report(
    ours: RecurrentLayer,
    theirs: object,
    x: object = None,
    *,
    state: object = "random",
    T: int = 12,
    B: int = 3,
    seed: int | None = 0,
    gradients: bool = True,
    show: bool = True,
) -> ParityReport:
    """Run a layer and another package's on the same input, and tell how far apart they are.

    Compared are outputs, final states, and gradients of a random loss by the input, the initial
    states and the parameters, as far as the other side has them. If they differ by more than
    rounding can explain, what goes wrong most often is tried on copies of our layer: gates in
    another order, z the other way round, a forget bias added when running, lost biases, the other
    GRU, hard sigmoids, axes and time swapped. What makes the difference vanish becomes a hint.

    If they agree on standard normal numbers, outputs and states are compared on further inputs
    that are drawn: large, small and equal numbers, those that theirs has about it as constants,
    whole steps of one number, other numbers of rows and steps, and lengths where theirs takes them.
    So is found what acts on some inputs only, such as a clamp or a mask.

    Parameters
    ----------
    ours : a layer; run as in inference, so without dropout.
    theirs : what it should equal: a PyTorch module (in evaluation mode meanwhile), a Keras layer or
        model, an ONNX model or ONNX Runtime session, another layer of ours, or a function from x to
        an output, or to a tuple of an output and states. Packages are recognised if they are
        imported, and not imported here, but for ONNX Runtime to run a model.
    x : (T, B, I), laid out as `ours` has it; None draws it, and further ones. Theirs is given
        (B, T, I) if it is known to want that, in its own dtype.
    state : ``"random"``: drawn if theirs can be given one; None: both begin as by default; or as
        for `ours`.
    T, B : steps and rows of what is drawn.
    seed : of what is drawn.
    gradients : whether to compare gradients.
    show : whether to print the report.

    Returns
    -------
    `ParityReport` with ``ok``, ``verdict``, ``differences`` by name, ``further`` ones, ``notes``
    and ``hints``.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit.

    Notes
    -----
    How far apart two correct results may be is derived in `simdrnn.parity.bounds`: from the type's
    unit roundoff, the length of sums and the number of steps, and from how much this layer with
    these weights lets small changes grow, which is measured.

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> layer = sr.LSTM(3, 4, seed=0)
    >>> twin = sr.reference.LSTM(3, 4, seed=0, dtype="float32")
    >>> sr.parity_report(layer, twin, show=False).ok
    True
    >>> weights = twin.state_dict()
    >>> for name in weights:  # as ONNX orders gates: i, o, f, g
    ...     weights[name] = sr.dialects.permute_gates(weights[name], "ifgo", "iofg")
    >>> keys = twin.load_state_dict(weights)
    >>> report = sr.parity_report(layer, twin, show=False)
    >>> report.ok, "onnx" in report.hints[0]
    (False, True)
    """
    if not isinstance(ours, RecurrentLayer):
        raise TypeError(f"ours: expected a layer of simdrnn, got {type(ours).__name__}")
    gradients, show = as_bool("gradients", gradients), as_bool("show", show)
    peer = as_peer(theirs)
    rng = np.random.default_rng(as_seed(seed))
    shape = as_positive("T", T), as_positive("B", B), ours.input_size
    inputs = _inputs(ours, peer, x, state, shape, rng)
    further = _further(ours, peer, shape, bool(inputs.states), rng) if x is None else ()
    report = Comparison(ours, peer, inputs, rng).report(gradients, further)
    if show:
        print(report)
    return report


def _inputs(
    ours: RecurrentLayer,
    peer: Peer,
    x: object,
    state: object,
    shape: tuple[int, int, int],
    rng: np.random.Generator,
) -> Inputs:
    """Check or draw what both sides are given; drawn numbers are float32's, so exact in both."""
    if x is None:
        drawn = rng.standard_normal(shape, np.float32).astype(ours.dtype)
        values = np.ascontiguousarray(drawn.swapaxes(0, 1) if ours.batch_first else drawn)
    else:
        values = as_array("x", x, ours.dtype)
        if values.ndim != 3 or 0 in values.shape:
            letters = "(B, T, I)" if ours.batch_first else "(T, B, I)"
            raise ValueError(f"x: expected {letters}, none of them 0, got shape {values.shape}")
    if isinstance(state, str):
        check_choice("state", state, ("random",))
        if not peer.takes_state:
            return Inputs(values, ())
        final = as_states(ours(values)[1])
        states = [rng.standard_normal(one.shape, np.float32).astype(ours.dtype) for one in final]
        return Inputs(values, tuple(states))
    if state is None:
        return Inputs(values, ())
    if not peer.takes_state:
        raise ValueError("state: expected None, as theirs cannot be given one")
    members = state if isinstance(state, (tuple, list)) else (state,)
    given = tuple(as_array(f"state[{k}]", one, ours.dtype) for k, one in enumerate(members))
    ours(values, given if len(given) > 1 else given[0])  # checks shapes, in the layer's words
    return Inputs(values, given)


def _further(
    ours: RecurrentLayer,
    peer: Peer,
    shape: tuple[int, int, int],
    with_states: bool,
    rng: np.random.Generator,
) -> Iterator[tuple[str, Inputs]]:
    """Yield inputs that reach more than standard normal ones, with names."""
    for name, x, lengths in probes(shape, peer.constants(), rng, peer.takes_lengths):
        laid_out = x.swapaxes(0, 1) if ours.batch_first else x
        values = np.ascontiguousarray(laid_out, ours.dtype)
        states: list[Array] = []
        if with_states:
            final = as_states(ours(values)[1])
            states = [
                rng.standard_normal(one.shape, np.float32).astype(ours.dtype) for one in final
            ]
        yield name, Inputs(values, tuple(states), lengths=lengths)
