"""`simdrnn.AttentionDecoder`: a layer that is fed what attention found the step before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from simdrnn.attention.affine import Maps
from simdrnn.attention.arguments import GivenMemory, as_memory
from simdrnn.attention.attention import Attention
from simdrnn.attention.decoder_parts import PARTS, check_parts
from simdrnn.attention.decoder_run import DecoderState, Run, Versions, stepped
from simdrnn.attention.decoder_tape import DecoderTape
from simdrnn.engine.packing import Counter, Packing
from simdrnn.layers.parametrised import parameters_of
from simdrnn.layers.recurrent import RecurrentLayer
from simdrnn.layers.savable import described, document_of
from simdrnn.stack.container import Container
from simdrnn.training.modules import Embedding, Linear, check_range, integer_array
from simdrnn.validate import Array, array_of, as_array, as_lengths, as_threads, check_shape

__all__ = ["AttentionDecoder"]


class AttentionDecoder(Container):
    """A recurrent decoder with attention and input feeding.

    With the token y_t, the memory m and a_0 = 0, a step is

    ```
    h_t  = layer([embedding(y_t), a_{t-1}], h_{t-1})
    c_t  = attention(h_t, m)
    a_t  = tanh(W [c_t, h_t] + b)                       with `combine`; the output
    a_t  = c_t                                          without; the output is [c_t, h_t]
    ```

    Parameters
    ----------
    embedding : `Embedding` of N tokens in E numbers, or None for a decoder that is given vectors
        (T, B, E).
    layer : a causal layer with inputs of E + F and outputs of H, say a `GRU`. F is the size of a_t.
    attention : `Attention` with ``query_size`` H and a ``memory_size`` M, which says whether the
        batch comes first.
    combine : `Linear` (M + H) -> F, or None, where F is M.

    Raises
    ------
    TypeError, ValueError : a part is none, or does not fit the others; the layer is bidirectional,
        reversed, takes attention itself, or draws what it drops at random.

    Notes
    -----
    Since a step needs what attention found the step before, a recorded call goes step by step; all
    that need not is one product for all steps: gradients for the memory, for `combine` and for the
    projections of attention. Those of the layer go on from step to step. One step at a time has the
    bits of a recorded call, and no row's depend on another's.

    Parameters are named ``embedding.weight``, ``layer.{name}``, ``attention.{name}`` and
    ``combine.{name}``.

    References
    ----------
    Luong, Pham and Manning 2015, arXiv:1508.04025, section 3.3 (input feeding) and equation 5
    (the attentional vector).

    Examples
    --------
    >>> import numpy as np, simdrnn as sr
    >>> decoder = sr.AttentionDecoder(
    ...     sr.Embedding(10, 4, seed=0),
    ...     sr.GRU(4 + 6, 8, seed=1),
    ...     sr.Attention("general", query_size=8, memory_size=5, seed=2),
    ...     sr.Linear(5 + 8, 6, seed=3),
    ... )
    >>> memory = np.ones((7, 2, 5), "float32")
    >>> tape = decoder.record(np.array([[1, 1], [3, 2], [4, 0]]), memory, memory_lengths=[7, 4])
    >>> tape.output.shape, tape.weights.shape
    ((3, 2, 6), (3, 2, 7))
    >>> grads = tape.backward(np.ones_like(tape.output))
    >>> grads.memory.shape, len(grads.params)
    ((7, 2, 5), 8)
    >>> state = decoder.start(memory, memory_lengths=[7, 4])
    >>> output, state = decoder.step(np.array([1, 1]), state)
    >>> bool((output == tape.output[0]).all())
    True
    """

    __module__ = "simdrnn"

    _made = frozenset({"_parts", "_combine", "_calls", "_members"})

    def __init__(
        self,
        embedding: Embedding | None,
        layer: RecurrentLayer,
        attention: Attention,
        combine: Linear | None = None,
    ) -> None:
        self._parts = check_parts(embedding, layer, attention, combine)
        self._members = self._parts.members()
        self._calls = Counter()
        self._combine = None
        if combine is not None:
            arrays = parameters_of(combine).arrays

            def maps() -> list[tuple[Array, Array | None]]:
                return [(arrays["weight"], arrays.get("bias"))]

            self._combine = Packing(Maps(self.dtype, 1), parameters_of(combine), maps)

    @property
    def embedding(self) -> Embedding | None:
        """The embedding of tokens."""
        return self._parts.embedding

    @property
    def layer(self) -> RecurrentLayer:
        """The recurrent layer."""
        return self._parts.layer

    @property
    def attention(self) -> Attention:
        """The attention."""
        return self._parts.attention

    @property
    def combine(self) -> Linear | None:
        """What makes the attentional vector."""
        return self._parts.combine

    @property
    def layers(self) -> tuple[RecurrentLayer, ...]:
        """The layer, as a tuple."""
        return (self._parts.layer,)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Floating-point type of all arrays."""
        return self._parts.layer.dtype

    @property
    def output_size(self) -> int:
        """Size of the output: F, or without `combine` M + H."""
        return self._parts.output_size

    def __repr__(self) -> str:
        """Show the parts."""
        parts = (self.embedding, self.layer, self.attention, self.combine)
        shown = parts if self.combine is not None else parts[:-1]
        return f"AttentionDecoder({', '.join(map(repr, shown))})"

    def __call__(
        self,
        tokens: npt.ArrayLike,
        memory: npt.ArrayLike,
        state: object = None,
        **options: Any,
    ) -> tuple[Array, Array]:
        """Return the outputs and the weights for sequences that are given; see `record`.

        Returns
        -------
        (output, weights): (T, B, F) and (T, B, S).
        """
        tape = self.record(tokens, memory, state, **options)
        return tape.output, tape.weights

    def record(
        self,
        tokens: npt.ArrayLike,
        memory: npt.ArrayLike,
        state: object = None,
        *,
        lengths: npt.ArrayLike | None = None,
        memory_lengths: npt.ArrayLike | None = None,
        memory_mask: npt.ArrayLike | None = None,
        num_threads: int | None = None,
    ) -> DecoderTape:
        """Run over sequences that are given (teacher forcing); keep what back-propagation needs.

        Parameters
        ----------
        tokens : (T, B) integers: what each step is given, say a start token and all but the last
            of the target. Where the attention has ``batch_first`` (B, T). Without an embedding
            (T, B, E).
        memory : (S, B, M), the outputs of an encoder; with ``batch_first`` (B, S, M).
        state : of the layer to begin with, in its form; None is what it begins with.
        lengths : (B,) integers in [0, T], how many steps of each row are real. Others put out 0.
        memory_lengths, memory_mask : which positions are real, as of `Attention`.
        num_threads : None leaves the choice to the engine.

        Returns
        -------
        DecoderTape with ``output``, ``weights``, ``state`` and ``backward``. It refers to `memory`:
        leave it as it is until the last ``backward``, which notices if it was written to.

        Raises
        ------
        TypeError, ValueError : an argument does not fit.
        """
        given = self._memory(memory, memory_lengths, memory_mask)
        inputs, embedded = self._inputs(tokens, given)
        steps, batch = inputs.shape[:2]
        real = None if lengths is None else as_lengths(lengths, steps, batch)
        versions = self._versions(recorded=True)
        states = versions.states(self._parts, state, batch)
        run = Run(versions, self._parts, given, inputs, states, real, as_threads(num_threads))
        return DecoderTape(self._parts, versions, run, embedded, learned=state is None)

    def start(
        self,
        memory: npt.ArrayLike,
        state: object = None,
        *,
        memory_lengths: npt.ArrayLike | None = None,
        memory_mask: npt.ArrayLike | None = None,
        num_threads: int | None = None,
    ) -> DecoderState:
        """Return the state before the first step: the memory made ready, and what was found: 0.

        Parameters
        ----------
        memory, state, memory_lengths, memory_mask, num_threads : as for `record`.

        Returns
        -------
        DecoderState, for `step` and for `simdrnn.beam_search`.
        """
        given = self._memory(memory, memory_lengths, memory_mask)
        versions, batch = self._versions(), len(given.values)
        threads = as_threads(num_threads)
        return DecoderState(
            versions.states(self._parts, state, batch),
            np.zeros((batch, self._parts.fed_size), self.dtype),
            np.zeros((batch, given.values.shape[1]), self.dtype),
            versions.attention, versions.attention.ready(given.values, given.real, threads), 1,
        )  # fmt: skip

    def step(self, tokens: npt.ArrayLike, state: DecoderState) -> tuple[Array, DecoderState]:
        """Take one step.

        Parameters
        ----------
        tokens : (B,) integers, or without an embedding (B, E).
        state : what `start` or the step before returned.

        Returns
        -------
        (output, state): (B, F), and the state after the step, whose ``weights`` (B, S) are those of
        the step.

        Raises
        ------
        ValueError : the parameters of the attention have changed since `start`.
        """
        if not isinstance(state, DecoderState):
            raise TypeError(f"state: expected what start returned, got {type(state).__name__}")
        given = self._tokens(tokens)[None]
        inputs, _ = self._embed(given, ("B",), (1, len(state.fed)))
        return stepped(self._versions(), self._parts, inputs[0], state)

    def _memory(self, memory: object, lengths: object, mask: object) -> GivenMemory:
        """Check a memory and what of it is real."""
        array = as_array("memory", memory, self.dtype)
        given = as_memory(self.attention, array, lengths, mask, "memory_")
        size = self._parts.memory_size
        if not given.batched or array.shape[-1] != size:
            order = "(B, S, M)" if given.batch_first else "(S, B, M)"
            raise ValueError(f"memory: expected shape {order} with M = {size}, got {array.shape}")
        return given

    def _tokens(self, tokens: object) -> Array:
        """Return tokens as an array, of whatever type and shape."""
        return array_of("tokens", tokens, "vectors" if self.embedding is None else "integers")

    def _inputs(self, tokens: object, given: GivenMemory) -> tuple[Array, Any]:
        """Return the inputs (T, B, E) and the tape of their embedding, if there is one."""
        array = self._tokens(tokens)
        turned = array.swapaxes(0, 1) if given.batch_first and array.ndim > 1 else array
        letters = ("B", "T") if given.batch_first else ("T", "B")
        return self._embed(turned, letters, (len(turned) if turned.ndim else 0, len(given.values)))

    def _embed(
        self, tokens: Array, letters: tuple[str, ...], shape: tuple[int, int]
    ) -> tuple[Array, Any]:
        """Check tokens, time first, and embed them."""
        turned = letters == ("B", "T")

        def check(array: Array, last: tuple[str, ...], size: tuple[int, ...]) -> None:
            shown = array[0] if len(letters) == 1 else array.swapaxes(0, 1) if turned else array
            wanted = shape[1:] if len(letters) == 1 else shape[::-1] if turned else shape
            check_shape("tokens", shown, letters + last, wanted + size)

        if self.embedding is None:
            array = as_array("tokens", tokens, self.dtype)
            size = self._parts.input_size
            if array.ndim != 3:
                raise ValueError(f"tokens: expected vectors of {size}, got shape {array.shape}")
            check(array, ("E",), (size,))
            return array, None
        integers = integer_array("tokens", tokens)
        if integers.ndim != 2:
            raise ValueError(f"tokens: expected shape ({', '.join(letters)}), got {tokens.shape}")
        check(integers, (), ())
        check_range("tokens", integers, self.embedding.num_embeddings)
        tape = self.embedding.record(integers)
        return tape.output, tape

    def _versions(self, recorded: bool = False) -> Versions:
        """Return the present version of every part's parameters."""
        combine = None if self._combine is None else self._combine.ready()
        return Versions.of(self._parts, combine, recorded)

    def _configuration(self) -> dict[str, Any]:
        """Return the constructor's keyword arguments, less the parts: none."""
        return {}

    def _document(self) -> dict[str, Any]:
        """Return what the parts are built of, beside the parameters."""
        found = described(self, self._configuration()) | {"recorded": self._recorded}
        return found | {
            "members": {name: document_of(member) for name, member in self._members.items()}
        }

    def _stepped(self) -> dict[str, Any]:
        """Raise: programs in C step layers and chains of them."""
        raise ValueError("expected a layer, a Linear or a stack, got AttentionDecoder")

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickling and copying keep: the parts."""
        attributes = {name: one for name, one in vars(self).items() if name not in self._made}
        return {"members": dict(self._members), "attributes": attributes}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Build it as the constructor does."""
        parts = {name: state["members"].get(name) for name in PARTS}
        AttentionDecoder.__init__(self, **parts)
        self.__dict__.update(state["attributes"])
