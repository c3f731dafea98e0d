"""Both sides on the same input, compared array by array."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.parity.arrangement import Arranged
from simdrnn.parity.bounds import tolerances
from simdrnn.parity.differences import Difference, compare
from simdrnn.parity.hints import find_hints
from simdrnn.parity.peers import Peer
from simdrnn.parity.report import TELLING, ParityReport
from simdrnn.parity.runs import Inputs, as_state, run_ours
from simdrnn.validate import Array

__all__ = ["Comparison"]

_GRADIENT = "gradient of "


def _coarser(one: np.dtype[Any], other: np.dtype[Any] | None) -> np.dtype[Any]:
    """Return the type with the larger unit roundoff."""
    if other is None:
        return one
    return max(one, other, key=lambda dtype: float(np.finfo(dtype).eps))


class Comparison:
    """A layer, another package's, and what both are given."""

    def __init__(
        self, ours: RecurrentLayer, peer: Peer, inputs: Inputs, rng: np.random.Generator
    ) -> None:
        self.layer, self.peer, self.inputs, self.rng = ours, peer, inputs, rng
        self.dtype = _coarser(ours.dtype, peer.dtype)
        self.swap = peer.batch_first is not None and peer.batch_first != ours.batch_first
        self.notes: list[str] = []
        self.their_x, self.their_states = self._theirs(inputs)

    def _theirs(self, inputs: Inputs) -> tuple[Array, tuple[Array, ...]]:
        """Return x and initial states as the other side takes them."""
        given = self.peer.dtype or self.layer.dtype
        x = inputs.x.swapaxes(0, 1) if self.swap else inputs.x
        states = tuple(one.astype(given) for one in inputs.states)
        return np.ascontiguousarray(x, given), states

    def _run_theirs(self, inputs: Inputs) -> list[Array]:
        """Run the other side, with full lengths where it asks for some and none are given."""
        x, states = self._theirs(inputs)
        if not self.peer.takes_lengths:
            return self.peer.run(x, states)
        T, B = inputs.x.shape[:2][:: -1 if self.layer.batch_first else 1]
        lengths = np.full(B, T) if inputs.lengths is None else inputs.lengths
        return self.peer.run_lengths(x, states, lengths)

    def _with_loss(self, results: dict[str, Array], with_states: bool) -> Inputs:
        """Add random gradients of the loss by the results."""

        def drawn(shape: tuple[int, ...]) -> Array:
            return self.rng.standard_normal(shape).astype(np.float32).astype(self.layer.dtype)

        states = [one for name, one in results.items() if name.startswith("state")]
        d_states = tuple(drawn(one.shape) for one in states) if with_states else None
        return self.inputs._replace(d_output=drawn(results["output"].shape), d_states=d_states)

    def _gradients(self, arranged: Arranged, loss: Inputs) -> dict[str, Array]:
        """Return gradients of theirs by name, or none and a note why."""
        if self.peer.why_no_gradients:
            self.notes.append(self.peer.why_no_gradients)
            return {}
        if "output" not in arranged.results:
            self.notes.append("gradients: not compared, as theirs returns the last output only")
            return {}
        assert loss.d_output is not None
        d_results = arranged.d_results(loss.d_output, loss.d_states or ())
        found = self.peer.gradients(self.their_x, self.their_states, d_results)
        if self.swap and f"{_GRADIENT}x" in found:
            found[f"{_GRADIENT}x"] = found[f"{_GRADIENT}x"].swapaxes(0, 1)
        return found

    def _matching(
        self, ours: dict[str, Array], theirs: dict[str, Array]
    ) -> dict[str, tuple[Array, Array]]:
        """Pair gradients by name; note what has no partner."""
        gradients = {name: one for name, one in ours.items() if name.startswith(_GRADIENT)}
        gradients = self.peer.renamed(gradients, self.layer)
        pairs = {n: (gradients[n], theirs[n]) for n in theirs if n in gradients}
        missing = [name.removeprefix(_GRADIENT) for name in gradients if name not in theirs]
        if missing:
            self.notes.append(
                f"gradients: not compared for {', '.join(missing)}, which theirs has not by name"
            )
        return pairs

    def report(self, gradients: bool, further: Iterable[tuple[str, Inputs]] = ()) -> ParityReport:
        """Run both sides and compare, and if they agree, on further inputs, too."""
        results = run_ours(self.layer, self.inputs)
        raw = self._run_theirs(self.inputs)
        if not raw:
            raise TypeError("theirs: expected a function that returns an output, got None")
        arranged = Arranged(raw, results, self.swap, 1 + self.layer.bidirectional)
        self.notes += arranged.notes
        loss, theirs = self.inputs, arranged.results
        if "last output" in theirs:
            final = as_state(tuple(o for n, o in results.items() if n.startswith("state")))
            results["last output"] = self.layer.last_output(final)
        fits = "output" not in theirs or theirs["output"].shape == results["output"].shape
        if gradients and fits:
            loss = self._with_loss(results, arranged.has_states)
            found = self._gradients(arranged, loss)
            loss = loss if found else self.inputs
        bounds = tolerances(self.layer, loss, self.dtype)
        bounds.setdefault("last output", bounds["output"])
        pairs = {name: (results[name], one) for name, one in theirs.items()}
        if loss is not self.inputs:
            pairs |= self._matching(run_ours(self.layer, loss), found)
        largest = max(bounds.values())
        differences = {
            name: compare(name, *pair, bounds.get(name, largest)) for name, pair in pairs.items()
        }
        hints = self._hints(differences, results, theirs)
        agree = all(one.ok for one in differences.values())
        more = self._elsewhere(further, hints) if agree else {}
        return ParityReport(repr(self.layer), self.peer.name, differences, self.notes, hints, more)

    def _elsewhere(
        self, further: Iterable[tuple[str, Inputs]], hints: list[str]
    ) -> dict[str, Difference]:
        """Compare what both sides make of other inputs; what roundings hide there is left out."""
        found: dict[str, Difference] = {}
        for name, inputs in further:
            try:
                raw = self._run_theirs(inputs)
            except Exception as error:  # of other packages, of their own kinds
                self.notes.append(f"on {name}: not compared, as theirs raised {error!r:.200}")
                continue
            results = run_ours(self.layer, inputs)
            arranged = Arranged(raw, results, self.swap, 1 + self.layer.bidirectional)
            if "last output" in arranged.results:
                final = as_state(tuple(o for n, o in results.items() if n.startswith("state")))
                results["last output"] = self.layer.last_output(final)
            bounds = tolerances(self.layer, inputs, self.dtype, changes=1)
            bounds.setdefault("last output", bounds["output"])
            for key, theirs in arranged.results.items():
                one = compare(f"{key} on {name}", results[key], theirs, bounds[key])
                if one.tolerance <= TELLING:
                    found[one.name] = one
        failed = [one.name for one in found.values() if not one.ok]
        if failed:
            hints.append(f"something in theirs acts on some inputs only: see {failed[0]}")
        return found

    def _hints(
        self, differences: dict[str, Difference], ours: dict[str, Array], theirs: dict[str, Array]
    ) -> list[str]:
        """Return what would explain the differences."""
        name = next(name for name in differences if name.endswith("output"))
        first = differences[name]
        if first.problem:
            return []
        if not first.ok:
            return find_hints(
                self.layer, self.inputs, theirs[name], first.tolerance, last=name != "output"
            )
        swapped = {"state h", "state c"} <= set(theirs) and all(
            compare(one, ours[one], theirs[other], differences[one].tolerance).ok
            for one, other in (("state h", "state c"), ("state c", "state h"))
        )
        if swapped and not differences["state h"].ok:
            return ["they agree if their states come as c, then h"]
        return []
