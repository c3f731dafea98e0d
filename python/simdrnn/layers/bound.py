"""A layer or single cell bound to an engine: what works with it asks this object, and it alone."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

from simdrnn.engine.packing import Packing
from simdrnn.engine.protocol import Network, PackedNetwork
from simdrnn.engine.tape_sizes import TapeSpec
from simdrnn.layers.arguments import ArgumentChecks
from simdrnn.layers.parameters import Parameters
from simdrnn.layers.passes import LearnedStates, Passes
from simdrnn.spec.layer import LayerSpec
from simdrnn.spec.parameters import ParameterSpec

__all__ = ["BoundLayer", "bound_layer"]


def _network(engine: type[Network], layer: LayerSpec) -> Network:
    """Build a layer's network on an engine, or on what puts layers of it together."""
    make: Callable[..., Network] = engine
    if layer.structure.composed:
        from simdrnn.engine.composed import Composed

        make = partial(Composed, engine, layer.structure)
    sizes = layer.sizes
    return make(layer.info.name, layer.dtype, *sizes[:4], layer.options, sizes.projected_size)


class BoundLayer:
    """A layer or single cell on an engine.

    Parameters
    ----------
    engine : it runs on.
    spec : what it is.
    parameters : of the layer, which it follows.

    Attributes
    ----------
    info, sizes, dtype, options, structure : of `spec`.
    values : shape of one step's output; `width` is how many numbers that is.
    passes : what each layer and direction is given of the parameters.
    learned_specs : of initial states that are parameters, by state; `learned` makes states of them.
    network : whatever its weights.
    ready : returns the network with the present parameters, a version that never changes. Where
        there are learned states, what is `beside` it are `checks` with those of this version.
    checks : of the arguments of a call, with the learned states of the moment.
    tapes : what decides the sizes of its tapes.
    changes_weights : whether recorded training calls do, at random.
    """

    def __init__(self, engine: type[Network], spec: LayerSpec, parameters: Parameters) -> None:
        self.engine, self.spec, self.parameters = engine, spec, parameters
        self.info, self.sizes = spec.info, spec.sizes
        self.options, self.structure = spec.options, spec.structure
        self.dtype, self.values = spec.dtype, spec.values
        self.width = self.sizes.output_size
        self.passes, self.learned_specs = Passes(spec, parameters), spec.learned_states()
        self.network = _network(engine, spec)
        self.learned: LearnedStates | None = None
        if self.learned_specs:
            self.learned = LearnedStates(self.learned_specs, parameters.read)
        self.checks = ArgumentChecks(spec, self.learned)
        # Nothing here leads back to this object: layers go when they are dropped.
        beside = partial(_checks_of_version, spec, self.learned_specs, parameters)
        packing = Packing(
            self.network, parameters, self.passes.packed, beside,
            partial(self.network.pack, recorded=True),
        )  # fmt: skip
        self.ready: Callable[..., PackedNetwork] = packing.ready
        apart = self.structure.apart
        options = self.options
        self.changes_weights = bool(options.weight_dropout or options.weight_noise is not None)
        self._owner: Callable[[], object] = _nobody
        self.tapes = TapeSpec(self.info, self.sizes, self.options.saved(self.info).width, apart)

    def belong_to(self, owner: object) -> None:
        """Remember whose it is, so that copying and pickling a tape goes by the layer."""
        self._owner = weakref.ref(owner)

    def __reduce__(self) -> tuple[Callable[..., BoundLayer], tuple[Any, ...]]:
        """Copy and pickle what it is made for; the network is built anew."""
        owner = self._owner()
        if owner is not None:
            return bound_layer, (owner,)
        return BoundLayer, (self.engine, self.spec, self.parameters)

    def copy(self) -> BoundLayer:
        """Return another of the same description and values, with a network of its own."""
        return BoundLayer(self.engine, self.spec, self.parameters.copy())


def _checks_of_version(
    spec: LayerSpec, learned: list[tuple[ParameterSpec, ...]], parameters: Parameters
) -> ArgumentChecks | None:
    """Return the checks of calls that begin with the learned states of now, if with any."""
    if not learned:
        return None
    names = [one.name for group in learned for one in group]
    copies = {name: parameters.arrays[name].copy() for name in names}
    return ArgumentChecks(spec, LearnedStates(learned, lambda compute: compute(copies)))


def _nobody() -> None:
    """Return None, as a reference to what is gone does."""


def bound_layer(layer: Any) -> BoundLayer:
    """Return what a layer or single cell is bound as."""
    return layer._bound  # type: ignore[no-any-return]
