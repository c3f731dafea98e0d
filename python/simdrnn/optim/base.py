"""What all optimisers share: state, options, and the walk over the parameters.

A rule (`sgd.py`, `adam.py`, `rmsprop.py`) only says how one flat block of a parameter changes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, ClassVar

import numpy as np

from simdrnn.optim.reduction import AllReduce, FlatGradients, check_all_reduce
from simdrnn.optim.tree import (
    GradientOf,
    Leaf,
    Owner,
    ParameterTree,
    arrays_of,
    check_distinct,
    check_like,
    check_names,
    gradients_of,
    match_one,
    writable,
)
from simdrnn.training.clip import clip_grad_norm_
from simdrnn.training.trainable import as_number
from simdrnn.validate import Array

__all__ = ["Optimizer"]

# Parameters are updated in blocks, so that the dozen NumPy passes of a rule find the block in cache
# and the scratch does not grow with the model. 64 KiB of float32 per array touched.
_BLOCK = 1 << 14


class Optimizer(ABC):
    """Base of the optimisers; see `SGD`, `Adam`, `AdamW`, `RMSprop`.

    Parameters
    ----------
    layers : what is to be trained: one layer or module, one writable float array, one dict of such
        arrays, or a list of these. Arrays are changed in place.
    lr : the learning rate; may be assigned at any time, ``optimizer.lr *= 0.5``.
    slots : names of the arrays kept for every parameter, all zero at first.
    all_reduce : for training by several workers that each see a part of every batch: a callable
        that `step` hands one flat contiguous array with the gradients of all parameters (one for
        each dtype), and that replaces it, in place, by the mean over the workers. It returns None,
        or that array. Every worker makes as many steps, with the same `layers` in the same order
        and the same parameters at first, and the same `lr`. See docs/files_and_scale.md.
    """

    __module__ = "simdrnn.optim"

    _options: ClassVar[tuple[str, ...]] = ()  # attributes, less their underscore, that must agree

    def __init__(
        self,
        layers: ParameterTree,
        lr: float,
        slots: Sequence[str],
        all_reduce: AllReduce | None = None,
    ) -> None:
        self._all_reduce = check_all_reduce(all_reduce)
        self._flat: FlatGradients | None = None
        self._is_list = isinstance(layers, (list, tuple))
        self._owners: list[Owner] = list(layers) if self._is_list else [layers]  # type: ignore
        self._leaves = [
            [
                Leaf(name, self._key(index, name), array.shape, array.dtype,
                      {slot: np.zeros(array.shape, array.dtype) for slot in slots})
                for name, array in arrays_of(self._label("layers", index), owner).items()
            ]
            for index, owner in enumerate(self._owners)
        ]  # fmt: skip
        check_distinct(self._owners)
        self._scratch: dict[np.dtype[Any], Array] = {}
        for leaf in self._all_leaves():
            self._scratch.setdefault(leaf.dtype, np.empty((2, _BLOCK), leaf.dtype))
        self._steps = 0
        self.lr = lr

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
        self, grads: GradientOf | Sequence[GradientOf], *, max_norm: float | None = None
    ) -> float | None:
        """Update every parameter once.

        Parameters
        ----------
        grads : the structure of `layers`: for a layer its `Gradients` (``params`` is used), or a
            dict with the names of its parameters; for an array an array; for a list a list. They
            are not written to.
        max_norm : clips what the update is made of as `simdrnn.clip_grad_norm_` does, all
            parameters together, after `all_reduce`: so all workers clip alike.

        Returns
        -------
        The norm before clipping, or None without `max_norm`.

        Raises
        ------
        ValueError, TypeError : something does not fit; then nothing has been updated, nor when
            `all_reduce` raises.
        """
        if max_norm is not None:
            max_norm = as_number("max_norm", max_norm, closed=True)
        gradients = self._match(grads)
        norm = None
        if self._all_reduce is not None or max_norm is not None:
            if self._flat is None:
                self._flat = FlatGradients(self._leaves)
            gradients = self._flat.fill(gradients)
            if self._all_reduce is not None:
                self._flat.reduce(self._all_reduce)
            if max_norm is not None:
                norm = clip_grad_norm_(gradients, max_norm)
        # As in PyTorch a gradient that is not finite makes parameters that are not, silently.
        with ExitStack() as stack, np.errstate(all="ignore"):
            arrays = [stack.enter_context(writable(owner)) for owner in self._owners]
            self._steps += 1
            for leaves, owned, found in zip(self._leaves, arrays, gradients, strict=True):
                for leaf in leaves:
                    self._update_leaf(leaf, owned[leaf.name], found[leaf.name])
        return norm

    def state_dict(self) -> dict[str, Any]:
        """Return a snapshot: kind, lr, options, step count, and the arrays of every parameter."""
        return {
            "kind": type(self).__name__,
            "lr": self.lr,
            **{name: getattr(self, "_" + name) for name in self._options},
            "step": self._steps,
            "state": {
                leaf.key: {slot: array.copy() for slot, array in leaf.state.items()}
                for leaf in self._all_leaves()
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken, after all of it has been checked.

        Sets `lr`, the step count and the arrays. The other options are the constructor's and have
        to agree with it.

        Raises
        ------
        ValueError, TypeError : something does not fit; then nothing has been changed.
        """
        expected = self.state_dict()
        check_names("state", expected, state)
        for name in ("kind", *self._options):
            if state[name] != expected[name]:
                raise ValueError(f"{name}: expected {expected[name]!r}, got {state[name]!r}")
        steps = state["step"]
        if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 0:
            raise ValueError(f"step: expected an integer >= 0, got {steps!r}")
        lr = as_number("lr", state["lr"])
        check_names("state['state']", expected["state"], state["state"])
        pairs: list[tuple[Array, Array]] = []
        for leaf in self._all_leaves():
            saved = state["state"][leaf.key]
            check_names(leaf.key, leaf.state, saved)
            for slot, array in leaf.state.items():
                label = f"{leaf.key}.{slot}"
                pairs.append((array, check_like(label, saved[slot], leaf.shape, leaf.dtype)))
        for array, value in pairs:
            array[...] = value
        self._steps, self._lr = int(steps), lr

    @abstractmethod
    def _update(self, p: Array, g: Array, state: Mapping[str, Array], scratch: Array) -> None:
        """Update one flat block `p` of a parameter and its `state`; `g` is not to be written.

        `scratch` is (2, n), not initialised; `_steps` already counts this step.
        """

    def _update_leaf(self, leaf: Leaf, parameter: Array, gradient: Array) -> None:
        p, g = parameter.ravel(), gradient.ravel()  # views where C-contiguous, as layers' are
        flat = {slot: array.reshape(-1) for slot, array in leaf.state.items()}
        scratch = self._scratch[leaf.dtype]
        for start in range(0, p.size, _BLOCK):
            block = slice(start, start + _BLOCK)
            state = {slot: array[block] for slot, array in flat.items()}
            self._update(p[block], g[block], state, scratch[:, : p[block].size])
        if not parameter.flags.c_contiguous:
            parameter[...] = p.reshape(parameter.shape)

    def _match(self, grads: object) -> Sequence[Mapping[str, Array]]:
        """Return for every owner its gradients by name, each of its parameter's shape and dtype."""
        if not self._is_list:
            items: Sequence[object] = [grads]
        elif not isinstance(grads, (list, tuple)) or len(grads) != len(self._owners):
            got = f"{len(grads)}" if isinstance(grads, (list, tuple)) else type(grads).__name__
            wanted = f"a list of {len(self._owners)}, one for each of layers"
            raise ValueError(f"grads: expected {wanted}, got {got}")
        else:
            items = grads
        matched = []
        for index, (owner, leaves) in enumerate(zip(self._owners, self._leaves, strict=True)):
            # The parameters may have been exchanged since construction: a dict is the user's own.
            label = self._label("layers", index)
            match_one(label, leaves, arrays_of(label, owner))
            label = self._label("grads", index)
            matched.append(match_one(label, leaves, gradients_of(label, owner, items[index])))
        return matched

    def _all_leaves(self) -> list[Leaf]:
        return [leaf for leaves in self._leaves for leaf in leaves]

    def _label(self, name: str, index: int) -> str:
        return f"{name}[{index}]" if self._is_list else name

    def _key(self, index: int, name: str) -> str:
        parts = ([str(index)] if self._is_list else []) + ([name] if name else [])
        return ".".join(parts) or "array"
