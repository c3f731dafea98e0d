"""What owns parts under names: their parameters, which of them are trained, which are one."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from simdrnn.layers.parametrised import IncompatibleKeys
from simdrnn.layers.snapshots import snapshot
from simdrnn.model.chain import Link, links_of
from simdrnn.model.parts import Parts, matching
from simdrnn.model.summary import Summary
from simdrnn.training.trainable import check_trainable
from simdrnn.validate import Array

__all__ = ["PartOwner"]


class PartOwner:
    """Base of `simdrnn.Model`: parts are attributes, and have one set of parameters.

    Parameters
    ----------
    parts : by name, in order.
    """

    _links: list[Link] | str
    _parts: Parts

    def __init__(self, *unnamed: Any, **parts: Any) -> None:
        if unnamed:
            found = type(unnamed[0]).__name__
            raise TypeError(f"parts: expected each by name, rnn=..., got {found} without one")
        if not parts:
            raise TypeError("parts: expected one or more, by name, got none")
        seen: dict[int, str] = {}
        for name, part in parts.items():
            if name.startswith("_") or hasattr(type(self), name) or keyword.iskeyword(name):
                raise ValueError(f"{name}: expected a name that a model does not need for itself")
            if not name.isidentifier():
                raise ValueError(f"{name!r}: expected the name of an attribute")
            check_trainable(name, part, "a layer, a stack or a module")
            if id(part) in seen:
                raise ValueError(
                    f"{name}: expected another part than {seen[id(part)]}, got the same"
                )
            seen[id(part)] = name
        self._assemble(parts)

    def _assemble(self, parts: Mapping[str, Any]) -> None:
        """Own the parts."""
        self.__dict__["_parts"] = Parts(parts)
        try:
            self.__dict__["_links"] = links_of(parts)
        except ValueError as error:
            self.__dict__["_links"] = str(error)
        self.__dict__["trainer"] = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickling and copying keep: arrays that are tied are so by name."""
        made = ("_parts", "_links", "_frozen_copy")
        own = {name: one for name, one in vars(self).items() if name not in made}
        parts = self._parts
        return own | {"parts": parts.members, "tied": parts.tied, "frozen": parts.frozen}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Build it as the constructor does."""
        own = dict(state)
        self._assemble(own.pop("parts"))
        for name, to in own.pop("tied").items():
            self._parts.tie(name, to)
        self._parts.frozen |= own.pop("frozen")
        self.__dict__.update(own)

    def __getattr__(self, name: str) -> Any:
        """Find parts by name; only called for what is no ordinary attribute."""
        parts = self.__dict__.get("_parts")  # absent while unpickling
        if parts is not None and name in parts.members:
            return parts.members[name]
        raise AttributeError(f"{type(self).__name__} has no part and no attribute {name!r}")

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse to exchange parts: optimisers and tapes know the ones that it was made of."""
        if name in self._parts.members:
            raise AttributeError(f"{name}: the parts of a model are fixed when it is made")
        object.__setattr__(self, name, value)

    def __dir__(self) -> list[str]:
        """List parts among the attributes."""
        return [*super().__dir__(), *self._parts.members]

    def __repr__(self) -> str:
        """Show the parts."""
        shown = ", ".join(f"{name}={part!r}" for name, part in self.parts.items())
        return f"{type(self).__name__}({shown})"

    @property
    def parts(self) -> dict[str, Any]:
        """The parts by name, in their order."""
        return dict(self._parts.members)

    @property
    def num_parameters(self) -> int:
        """Number of values, frozen ones among them; what is tied counts once."""
        return sum(view.size for view in self.parameters().values())

    def parameters(self) -> dict[str, Array]:
        """Return read-only views of the parameters by name; what is tied comes once."""
        return self._parts.parameters()

    def state_dict(self) -> dict[str, Array]:
        """Return copies of the parameters by name, all of one version; they stay as they are."""
        with self._parts.hold():
            return {name: snapshot(view) for name, view in self.parameters().items()}

    def load_state_dict(
        self, state_dict: Mapping[str, object], strict: bool = True
    ) -> IncompatibleKeys:
        """Copy parameters from a mapping name -> array; all is checked before any is written.

        Parameters
        ----------
        state_dict : arrays of the parameters' dtypes and shapes.
        strict : whether the names must be exactly the model's. If not, what both have is loaded.

        Returns
        -------
        (missing_keys, unexpected_keys), both empty if `strict`.
        """
        names = self.parameters()
        keys = IncompatibleKeys.between(names, state_dict, strict)
        self._parts.load({name: state_dict[name] for name in names if name in state_dict})
        return keys

    def _update_parameters(self) -> AbstractContextManager[dict[str, Array]]:
        """Lend the writable arrays by name, for an optimiser's step; counts as a change."""
        return self._parts.lend()

    def versions(self) -> tuple[Any, ...]:
        """Return numbers that differ wherever a parameter has changed."""
        return self._parts.versions()

    def _hold_parameters(self) -> AbstractContextManager[Any]:
        """Keep writers of other threads out."""
        return self._parts.hold()

    def tie(self, name: str, to: str) -> None:
        """Make one parameter the same array as another, as of an embedding and an output layer.

        Both parts then read, and train, one array: its gradient is the sum of both, an optimiser
        keeps one state of it, and it is called `to`, also in files. Views of the old array that
        were handed out stay as they were.

        Parameters
        ----------
        name : what becomes the other, as ``"head.weight"``.
        to : whose values stay, as ``"embedding.weight"``; of the same shape and dtype.

        Raises
        ------
        ValueError, TypeError : one of them is no parameter of a layer or module, is tied already,
            or they differ in shape or dtype.

        References
        ----------
        Press and Wolf 2017, arXiv:1608.05859; Inan, Khosravi and Socher 2017, arXiv:1611.01462.

        Examples
        --------
        >>> import simdrnn as sr
        >>> model = sr.Model(embedding=sr.Embedding(9, 4), rnn=sr.GRU(4, 4), head=sr.Linear(4, 9))
        >>> model.tie("head.weight", "embedding.weight")
        >>> "head.weight" in model.parameters()
        False
        >>> bool((model.head.weight == model.embedding.weight).all())
        True
        """
        self._parts.tie(name, to)

    @property
    def frozen(self) -> frozenset[str]:
        """Names of the parameters that are not trained."""
        inner = {
            f"{prefix}.{name}"
            for prefix, part in self._parts.members.items()
            if isinstance(part, PartOwner)
            for name in part.frozen
        }
        return frozenset(self._parts.frozen | inner)

    def freeze(self, *patterns: str) -> None:
        """Keep parameters as they are, from the next step of an optimiser on.

        What is frozen is not updated, nor shrunk by weight decay; its gradient is not among
        ``grads.params`` and so does not count in clip norms, as in PyTorch. An optimiser's means of
        it stay as they are, and go on when it is trained again.

        Parameters
        ----------
        patterns : names of parameters or of whole parts, where ``*`` is any text, as in a shell:
            ``"embedding"``, ``"rnn.*_l0"``.

        Raises
        ------
        ValueError, TypeError : a pattern that no name matches.

        Examples
        --------
        >>> import simdrnn as sr
        >>> model = sr.Model(rnn=sr.GRU(4, 4), head=sr.Linear(4, 9))
        >>> model.freeze("rnn", "*.bias")
        >>> model.trainable("rnn.bias*")
        >>> sorted(model.frozen)
        ['head.bias', 'rnn.weight_hh_l0', 'rnn.weight_ih_l0']
        """
        self._parts.frozen |= set(matching(list(self.parameters()), patterns))

    def trainable(self, *patterns: str) -> None:
        """Train parameters again that `freeze` keeps as they are.

        Parameters
        ----------
        patterns : as for `freeze`.
        """
        chosen = matching(list(self.parameters()), patterns)
        inner = self.frozen - self._parts.frozen
        if inner & set(chosen):
            raise ValueError(
                f"patterns: expected parameters that this model froze, got {sorted(inner)}, which "
                "a model within it did"
            )
        self._parts.frozen -= set(chosen)

    def summary(self) -> Summary:
        """Return a table of parts and parameters, with shapes, counts, and what is trained.

        Examples
        --------
        >>> import simdrnn as sr
        >>> model = sr.Model(rnn=sr.GRU(2, 4), head=sr.Linear(4, 3))
        >>> model.freeze("rnn")
        >>> print(model.summary())
        parameter       shape    values  trained
        rnn: GRU(2, 4)
          weight_ih_l0  (12, 2)      24  no
          weight_hh_l0  (12, 4)      48  no
          bias_ih_l0    (12,)        12  no
          bias_hh_l0    (12,)        12  no
        head: Linear(4, 3)
          weight        (3, 4)       12  yes
          bias          (3,)          3  yes
        111 values, 15 trained; 444 bytes
        """
        return Summary.of(self._parts.members, self.parameters(), self.frozen, self._parts.tied)
