"""What all optimisers share: state, options, and the walk over the parameters.

A rule (`sgd.py`, `adam.py`, `rmsprop.py`) only says in numbers how an element changes: the engine
goes over all parameters in one call (`simdrnn.engine.updates`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar, NamedTuple

import numpy as np

from simdrnn.engine.packing import Holding, ParameterLock
from simdrnn.optim.constraining import Constraining, HeldParameters
from simdrnn.optim.groups import Groups, GroupsOf, Rates
from simdrnn.optim.reduction import AllReduce, FlatGradients, check_all_reduce
from simdrnn.optim.tree import (
    GradientOf,
    Leaf,
    Owner,
    ParameterTree,
    arrays_lent,
    arrays_of,
    check_distinct,
    check_like,
    check_names,
    gradients_of,
    is_trained,
    lent_by,
    match_one,
    own_memory,
    taken_together,
)
from simdrnn.training.clip import clip_factor
from simdrnn.training.trainable import as_number, frozen_names
from simdrnn.validate import Array, as_bool, as_count, dense

__all__ = ["Optimizer", "Updated"]


class Updated(NamedTuple):
    """What a rule is given of parameters with the same rates, in one order.

    Attributes
    ----------
    parameters, gradients : C-contiguous arrays; those of a parameter have its shape and dtype.
    kept : for each of the rule's slots the arrays that it keeps.
    scale : what every gradient is multiplied by before anything else.
    lr, weight_decay, step : see `Rates`.
    """

    parameters: list[Array]
    gradients: list[Array]
    kept: list[list[Array]]
    scale: float
    lr: float
    weight_decay: float
    step: int


class Optimizer(ABC):
    """Base of the optimisers; see `SGD`, `Adam`, `AdamW`, `RMSprop`.

    Parameters
    ----------
    layers : what is to be trained: one layer or module, one writable float array, one dict of such
        arrays, or a list of these. Arrays are changed in place, and so have to be the user's own:
        a layer's ``state_dict()`` holds copies, and is refused.
    lr : the learning rate; may be assigned at any time, ``optimizer.lr *= 0.5``.
    slots : names of the arrays kept for every parameter, all zero at first.
    all_reduce : for training by several workers that each see a part of every batch: a callable
        that `step` hands one flat contiguous array with the gradients of all parameters (one for
        each dtype), and that replaces it, in place, by the mean over the workers. It returns None,
        or that array. Every worker makes as many steps, with the same `layers` in the same order
        and the same parameters at first, and the same `lr`. See docs/files_and_scale.md.
    groups : pattern of names -> options of what it matches, where ``*`` is any text, as in a shell:
        ``{"embedding.*": {"lr": 1e-4}, "*bias*": {"weight_decay": 0.0}}``. Where several match, the
        last one's options hold. When `lr` is assigned, a group's changes in proportion. Names are
        those of ``state_dict()["state"]``: with a list of layers they begin with a layer's number.
    constraints : what `step` keeps true of parameters, such as `simdrnn.regularizers.Connectivity`:
        gradients that may change nothing are 0 before their norm is clipped, and the parameters
        obey when the step ends, in the order of the list.

    Notes
    -----
    What a `Model` has frozen is left as it is, without weight decay and not part of the norm that
    `max_norm` clips; its gradient may be missing. Adam's corrections of its first steps count the
    steps that a parameter was trained, as PyTorch's do.
    """

    __module__ = "simdrnn.optim"

    _options: ClassVar[tuple[str, ...]] = ()  # attributes, less their underscore, that must agree
    _weight_decay: float = 0.0

    def __init__(
        self,
        layers: ParameterTree,
        lr: float,
        slots: Sequence[str],
        all_reduce: AllReduce | None = None,
        groups: GroupsOf | None = None,
        constraints: Sequence[Constraining] = (),
    ) -> None:
        self._all_reduce = check_all_reduce(all_reduce)
        self._flat: FlatGradients | None = None
        self._is_list = isinstance(layers, (list, tuple))
        self._owners: list[Owner] = list(layers) if self._is_list else [layers]  # type: ignore
        self._leaves = [
            [
                Leaf(name, self._key(index, name), array.shape, array.dtype,
                      {slot: np.zeros(array.shape, array.dtype) for slot in slots})
                for name, array in arrays_of(
                    self._label("layers", index), owner, is_trained(owner)
                ).items()
            ]
            for index, owner in enumerate(self._owners)
        ]  # fmt: skip
        check_distinct(self._owners)
        self._constraints = tuple(constraints) if isinstance(constraints, list) else constraints
        self._prepare()
        self._steps = 0
        self.lr = lr
        keys = [leaf.key for leaf in self._all_leaves()]
        self._groups = None if groups is None else Groups(groups, keys, self.lr)
        # How many of the steps each parameter was frozen at.
        self._missed = [0] * len(keys)

    def _prepare(self) -> None:
        """Make what no copy and no pickle has: a lock, and what is asked of owners only once."""
        self._lock = ParameterLock()
        self._flat = None
        # What was pickled by version 0.1.0 has none.
        self._held = HeldParameters(vars(self).get("_constraints", ()), self._owners)
        self._known = [
            (self._label("layers", index), self._label("grads", index), is_trained(owner))
            for index, owner in enumerate(self._owners)
        ]
        self._names = [(n, leaf.name) for n, leaves in enumerate(self._leaves) for leaf in leaves]
        leaves = self._all_leaves()
        slots = list(leaves[0].state) if leaves else []
        self._kept = [[leaf.state[slot] for leaf in leaves] for slot in slots]
        self._reduced_of: list[int] = []  # which parameters `_flat` has room for

    def __getstate__(self) -> dict[str, Any]:
        """Return what copies and pickles keep."""
        with Holding(self._lock):
            made = {"_flat", "_lock", "_known", "_kept", "_reduced_of", "_held", "_names"}
            return {name: value for name, value in vars(self).items() if name not in made}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what was kept; arrays that arrive in memory of others are copied to be written."""
        self.__dict__.update({"_groups": None, "_missed": [0] * self._count(state)} | state)
        for leaf in self._all_leaves():
            own_memory(leaf.state)
        for owner in self._owners:
            if isinstance(owner, dict):
                own_memory(owner)
        self._prepare()

    @property
    def trains(self) -> list[Owner]:
        """What it was made for, as a list."""
        return list(self._owners)

    @property
    def all_reduce(self) -> AllReduce | None:
        """The hook that averages gradients over workers, or None."""
        return self._all_reduce

    @staticmethod
    def _count(state: Mapping[str, Any]) -> int:
        """Return how many parameters a pickle is of; those of version 0.2.0 do not say it."""
        return sum(map(len, state["_leaves"]))

    @property
    def lr(self) -> float:
        """The learning rate."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = as_number("lr", value)

    def __repr__(self) -> str:
        """Return the name and the options."""
        options = "".join(f", {name}={getattr(self, '_' + name)!r}" for name in self._options)
        return f"{type(self).__name__}(lr={self.lr!r}{options})"

    def step(
        self,
        grads: GradientOf | Sequence[GradientOf],
        *,
        max_norm: float | None = None,
        error_if_nonfinite: bool = False,
    ) -> float | None:
        """Update every parameter once.

        Parameters
        ----------
        grads : the structure of `layers`: for a layer its `Gradients` (``params`` is used), or a
            dict with the names of its parameters; for an array an array; for a list a list. They
            are not written to. What is frozen may be missing, and is not looked at.
        max_norm : clips what the update is made of as `simdrnn.clip_grad_norm_` does, all
            parameters together, after `all_reduce`: so all workers clip alike.
        error_if_nonfinite : raise where that norm is NaN or infinite; only with `max_norm`.

        Returns
        -------
        The norm before clipping, or None without `max_norm`.

        Raises
        ------
        ValueError, TypeError : something does not fit, or the norm is not finite and was to be;
            then nothing has been updated, nor when `all_reduce` raises.
        """
        if max_norm is not None:
            max_norm = as_number("max_norm", max_norm, closed=True)
        if as_bool("error_if_nonfinite", error_if_nonfinite) and max_norm is None:
            raise ValueError("error_if_nonfinite: expected max_norm= with it, got None")
        with Holding(self._lock):  # steps of several threads come one after the other
            return self._step(grads, max_norm, error_if_nonfinite)

    def _step(self, grads: object, max_norm: float | None, finite: bool) -> float | None:
        """Do what `step` says, as the only one; `finite` is what the norm has to be."""
        trained, gradients = self._match(grads)
        if self._all_reduce is not None:
            if self._flat is None or self._reduced_of != trained:
                leaves = self._all_leaves()
                self._flat = FlatGradients([leaves[index] for index in trained])
                self._reduced_of = trained
            gradients = self._flat.fill(gradients)
            self._flat.reduce(self._all_reduce)
        gradients = self._held.gradients([self._names[index] for index in trained], gradients)
        norm, scale = None, 1.0
        if max_norm is not None:
            norm, scale = clip_factor(gradients, max_norm, 2.0, "grads" if finite else None)
        # As in PyTorch a gradient that is not finite makes parameters that are not, silently.
        lent = [
            lent_by(owner, trained)
            for owner, (_, _, trained) in zip(self._owners, self._known, strict=True)
        ]
        with taken_together(lent), ExitStack() as others:
            arrays = [arrays_lent(one, others) for one in lent]
            self._steps += 1
            if len(trained) < len(self._missed):
                for index in set(range(len(self._missed))) - set(trained):
                    self._missed[index] += 1
            if gradients:
                parameters = [
                    owned[leaf.name]
                    for owned, leaves in zip(arrays, self._leaves, strict=True)
                    for leaf in leaves
                ]
                own = [parameters[index] for index in trained]
                self._held.begin(arrays)
                for rates, places in self._together(trained):
                    self._update_all(
                        [own[place] for place in places], [gradients[place] for place in places],
                        [[kept[trained[place]] for place in places] for kept in self._kept],
                        scale, rates,
                    )  # fmt: skip
                self._held.end(arrays, {self._names[index] for index in trained})
        return norm

    def _together(self, trained: list[int]) -> Iterable[tuple[Rates, Sequence[int]]]:
        """Yield which of these parameters are updated alike, by their places in the list."""
        if self._groups is None and not any(self._missed):
            return [(Rates(self.lr, self._weight_decay, self._steps), range(len(trained)))]
        found: dict[Rates, list[int]] = {}
        for place, index in enumerate(trained):
            rates = Rates(self.lr, self._weight_decay, self._steps - self._missed[index])
            if self._groups is not None:
                rates = self._groups.rates(index, *rates)
            found.setdefault(rates, []).append(place)
        return found.items()

    def _update_all(
        self, parameters: list[Array], gradients: list[Array], kept: list[list[Array]],
        scale: float, rates: Rates,
    ) -> None:  # fmt: skip
        """Update arrays of any strides."""
        updated = [dense(parameter) for parameter in parameters]
        self._update(Updated(updated, [dense(g) for g in gradients], kept, scale, *rates))
        for parameter, changed in zip(parameters, updated, strict=True):
            if changed is not parameter:
                parameter[...] = changed

    def state_dict(self) -> dict[str, Any]:
        """Return a snapshot: kind, lr, options, step count, and the arrays of every parameter."""
        with Holding(self._lock):
            return self._snapshot()

    def _snapshot(self) -> dict[str, Any]:
        """Do what `state_dict` says, while nobody makes a step."""
        found = {
            "kind": type(self).__name__,
            "lr": self.lr,
            **{name: getattr(self, "_" + name) for name in self._options},
            "step": self._steps,
            "state": {
                leaf.key: {slot: array.copy() for slot, array in leaf.state.items()}
                for leaf in self._all_leaves()
            },
        }
        if self._groups is not None:
            found["groups"] = self._groups.described()
        if any(self._missed):
            keys = [leaf.key for leaf in self._all_leaves()]
            found["missed"] = {k: n for k, n in zip(keys, self._missed, strict=True) if n}
        return found

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken, after all of it has been checked.

        Sets `lr`, the step count and the arrays. The other options are the constructor's and have
        to agree with it.

        Raises
        ------
        ValueError, TypeError : something does not fit; then nothing has been changed.
        """
        expected = self.state_dict()
        expected.pop("missed", None)
        missed = self._missed_of(state)
        if isinstance(state, Mapping):
            state = {name: value for name, value in state.items() if name != "missed"}
        check_names("state", expected, state)
        for name in ("kind", *self._options, *(["groups"] if self._groups else [])):
            if not _same(state[name], expected[name]):
                raise ValueError(f"{name}: expected {expected[name]!r}, got {state[name]!r}")
        steps = state["step"]
        if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 0:
            raise ValueError(f"step: expected an integer >= 0, got {steps!r}")
        if max(missed, default=0) > steps:
            raise ValueError(f"missed: expected at most step={steps}, got {max(missed)}")
        lr = as_number("lr", state["lr"])
        check_names("state['state']", expected["state"], state["state"])
        pairs: list[tuple[Array, Array]] = []
        for leaf in self._all_leaves():
            saved = state["state"][leaf.key]
            check_names(leaf.key, leaf.state, saved)
            for slot, array in leaf.state.items():
                label = f"{leaf.key}.{slot}"
                pairs.append((array, check_like(label, saved[slot], leaf.shape, leaf.dtype)))
        with Holding(self._lock):
            for array, value in pairs:
                array[...] = value
            self._steps, self._lr, self._missed = int(steps), lr, missed

    def _missed_of(self, state: object) -> list[int]:
        """Return how many steps each parameter was frozen at, as a state says it."""
        found = state.get("missed", {}) if isinstance(state, Mapping) else {}
        keys = [leaf.key for leaf in self._all_leaves()]
        if not isinstance(found, Mapping) or set(found) - set(keys):
            raise ValueError(f"missed: expected counts of some of {keys}, got {found!r:.80}")
        return [as_count(f"missed[{key!r}]", found.get(key, 0)) for key in keys]

    @abstractmethod
    def _update(self, arrays: Updated) -> None:
        """Update parameters, and what is kept of them; ``arrays.step`` counts this step."""

    def _match(self, grads: object) -> tuple[list[int], list[Array]]:
        """Return which leaves are trained, and their gradients, each of its shape and dtype."""
        if not self._is_list:
            items: Sequence[object] = [grads]
        elif not isinstance(grads, (list, tuple)) or len(grads) != len(self._owners):
            got = f"{len(grads)}" if isinstance(grads, (list, tuple)) else type(grads).__name__
            wanted = f"a list of {len(self._owners)}, one for each of layers"
            raise ValueError(f"grads: expected {wanted}, got {got}")
        else:
            items = grads
        matched: list[Array] = []
        chosen: list[int] = []
        first = 0
        for owner, leaves, known, item in zip(
            self._owners, self._leaves, self._known, items, strict=True
        ):
            label, grads_label, trained = known
            # The parameters may have been exchanged since construction: a dict is the user's own.
            match_one(label, leaves, arrays_of(label, owner, trained))
            found = gradients_of(grads_label, owner, item)
            places = list(range(first, first + len(leaves)))
            first += len(leaves)
            frozen = frozen_names(owner) if trained else None
            if frozen:
                places = [
                    p for p, leaf in zip(places, leaves, strict=True) if leaf.name not in frozen
                ]
                leaves = [leaf for leaf in leaves if leaf.name not in frozen]
                found = {name: one for name, one in found.items() if name not in frozen}
            chosen += places
            matched += match_one(grads_label, leaves, found)
        return chosen, matched

    def _all_leaves(self) -> list[Leaf]:
        return [leaf for leaves in self._leaves for leaf in leaves]

    def _label(self, name: str, index: int) -> str:
        return f"{name}[{index}]" if self._is_list else name

    def _key(self, index: int, name: str) -> str:
        parts = ([str(index)] if self._is_list else []) + ([name] if name else [])
        return ".".join(parts) or "array"


def _same(saved: object, own: object) -> bool:
    """Tell whether an option is what was saved; an array, of many answers, is not."""
    try:
        return bool(saved == own)
    except ValueError:
        return False
