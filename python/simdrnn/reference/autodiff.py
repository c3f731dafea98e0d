"""Reverse-mode differentiation of code written for NumPy: it runs on variables of a `Tape`.

A variable stands in for an array. NumPy's operators and functions take it (by NEP 13 and NEP 18),
compute with the array behind it, and note on the tape what was done and how a gradient goes back
through it. So the same code runs on plain arrays, where nothing of this is in the way. What has no
rule here is refused with a TypeError; nothing is differentiated wrongly without a word.

Where our convention is not the textbook's, or a function has no derivative, `apply` takes the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias, cast

import numpy as np

from simdrnn.validate import Array

__all__ = ["Rule", "Tape", "apply"]

# From the gradient of a result, the result and the operands: the gradient of one operand, before it
# is summed to that operand's shape.
Rule: TypeAlias = "Callable[..., Array]"


class Tape:
    """What was done with variables, in order.

    Examples
    --------
    >>> tape = Tape()
    >>> x = tape.variable(np.array([1.0, 2.0]))
    >>> tape.back([(x * np.exp(x[0]), np.ones(2))])
    >>> bool(np.allclose(tape.gradient(x), np.exp(1.0) * np.array([1.0 + 3.0, 1.0])))
    True
    """

    def __init__(self) -> None:
        self._done: list[_Variable] = []

    def variable(self, value: Array) -> Array:
        """Return what stands in for an array, whose gradient is wanted; keep the array as it is."""
        return cast(Array, _Variable(value, self._done))

    def back(self, results: Iterable[tuple[Array, Array]]) -> None:
        """Take gradients back from results, (result, gradient) each, to the variables.

        There they add up until `gradient` takes them. The tape is as before: it may be gone back
        through again. A result that is a plain array depends on no variable.
        """
        for result, gradient in results:
            if isinstance(result, _Variable):
                result.receive(gradient)
        for made in reversed(self._done):
            gathered = made.take()
            if gathered is not None:
                made.back(gathered)

    def gradient(self, variable: Array) -> Array:
        """Take the gradient that a variable has received; it then begins at 0 again."""
        assert isinstance(variable, _Variable)
        gradient = variable.take()
        return np.zeros(variable.shape) if gradient is None else gradient

    def clear(self) -> None:
        """Forget what was done, and free it; variables keep what they have received."""
        self._done.clear()


def apply(function: Callable[..., Array], rules: Sequence[Rule | None], *operands: Any) -> Array:
    """Return ``function(*operands)``, with a rule for the gradient of each operand.

    Parameters
    ----------
    function : of plain arrays.
    rules : one for each operand that may be a variable, these first; None: no gradient goes back
        to it.
    operands : variables, arrays, and whatever else the function takes.

    Examples
    --------
    >>> tape = Tape()
    >>> x = tape.variable(np.array([-2.0, 3.0]))
    >>> tape.back([(apply(np.abs, [lambda d, y, x: d * np.sign(x)], x), np.ones(2))])
    >>> tape.gradient(x)
    array([-1.,  1.])
    """
    done, values = None, []
    for operand in operands:
        if isinstance(operand, _Variable):
            if done is not None and operand.done is not done:
                raise ValueError("variables: expected those of one tape, got those of two")
            done = operand.done
            operand = operand.value
        values.append(operand)
    result = function(*values)
    if done is None:
        return result

    def back(gradient: Array) -> None:
        for place, operand in enumerate(operands):
            if isinstance(operand, _Variable):
                rule = rules[place]  # a variable where no rule is foreseen is an error
                if rule is not None:
                    operand.receive(rule(gradient, result, *values))

    return cast(Array, _Variable(result, done, back))


class _Variable:
    """An array, and how a gradient for it goes on to what it was made of."""

    __slots__ = ("back", "done", "owned", "received", "value")

    def __init__(
        self, value: Array, done: list[_Variable], back: Callable[[Array], None] | None = None
    ) -> None:
        self.value, self.done = value, done
        self.received: Array | None = None
        self.owned = False  # or others have it, too, and sums need a new array
        if back is not None:
            self.back = back
            done.append(self)

    def receive(self, gradient: Array) -> None:
        """Add to the gradient; where the array was broadcast, sum over its copies."""
        if gradient.shape != self.value.shape:
            gradient = _sum_to(gradient, self.value.shape)
        if self.received is None:
            self.received, self.owned = gradient, False
        elif self.owned:
            self.received += gradient
        else:
            self.received, self.owned = self.received + gradient, True

    def take(self) -> Array | None:
        """Return the gradient, which then begins anew; None is 0."""
        gradient, self.received, self.owned = self.received, None, False
        return gradient

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *operands: Any, **options: Any) -> Any:
        """Apply a ufunc: an operator, or a function of each element."""
        rules = _OF_UFUNC.get(ufunc)
        if rules is None or method != "__call__" or options:
            return NotImplemented  # NumPy makes a TypeError of it
        return apply(ufunc, rules, *operands)

    def __array_function__(self, function: Any, _: Any, operands: Any, options: Any) -> Any:
        """Apply another function of NumPy's."""
        own = _OF_FUNCTION.get(function)
        return NotImplemented if own is None else own(*operands, **options)

    def __array__(self, *_: Any, **__: Any) -> Array:
        """Refuse to become a plain array, which would lose the gradient."""
        raise TypeError("a variable of a tape does not become a plain array")

    def __add__(self, other: Any) -> Array:
        return apply(np.add, _OF_UFUNC[np.add], self, other)

    def __radd__(self, other: Any) -> Array:
        return apply(np.add, _OF_UFUNC[np.add], other, self)

    def __sub__(self, other: Any) -> Array:
        return apply(np.subtract, _OF_UFUNC[np.subtract], self, other)

    def __rsub__(self, other: Any) -> Array:
        return apply(np.subtract, _OF_UFUNC[np.subtract], other, self)

    def __mul__(self, other: Any) -> Array:
        return apply(np.multiply, _OF_UFUNC[np.multiply], self, other)

    def __rmul__(self, other: Any) -> Array:
        return apply(np.multiply, _OF_UFUNC[np.multiply], other, self)

    def __truediv__(self, other: Any) -> Array:
        return apply(np.divide, _OF_UFUNC[np.divide], self, other)

    def __rtruediv__(self, other: Any) -> Array:
        return apply(np.divide, _OF_UFUNC[np.divide], other, self)

    def __matmul__(self, other: Any) -> Array:
        return apply(np.matmul, _OF_UFUNC[np.matmul], self, other)

    def __neg__(self) -> Array:
        return apply(np.negative, _OF_UFUNC[np.negative], self)

    def __le__(self, other: Any) -> Array:
        return np.asarray(self.value <= other)  # a constant: what it decides has no derivative

    def __getitem__(self, index: Any) -> Array:
        """Take a part, by integers and slices alone: what stands there stands there once."""

        def back(gradient: Array) -> None:
            if self.received is None:
                self.received, self.owned = np.zeros(self.value.shape), True
            elif not self.owned:
                self.received, self.owned = self.received.copy(), True
            self.received[index] += gradient

        return cast(Array, _Variable(self.value[index], self.done, back))

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self) -> Iterator[Array]:
        return (self[place] for place in range(len(self.value)))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def ndim(self) -> int:
        return self.value.ndim

    @property
    def T(self) -> Array:
        return apply(np.transpose, [lambda d, y, x: d.T], self)

    def swapaxes(self, first: int, second: int) -> Array:
        rule = [lambda d, y, x, *axes: d.swapaxes(*axes)]
        return apply(np.swapaxes, rule, self, first, second)

    def reshape(self, *shape: int) -> Array:
        return apply(np.reshape, [lambda d, y, x, shape: d.reshape(x.shape)], self, shape)

    def mean(self, axis: tuple[int, ...], keepdims: bool = False) -> Array:
        if not keepdims:
            raise TypeError("mean: expected keepdims=True")
        return apply(np.mean, [_of_mean], self, axis, None, None, True)


def _sum_to(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Sum a gradient over the copies that broadcasting made of an array of that shape."""
    ahead = gradient.ndim - len(shape)
    repeated = [
        ahead + place
        for place, (size, wide) in enumerate(zip(shape, gradient.shape[ahead:], strict=True))
        if size != wide
    ]
    summed: Array = gradient.sum(axis=(*range(ahead), *repeated))
    return summed.reshape(shape)


def _of_mean(d: Array, y: Array, x: Array, *_: Any) -> Array:
    """Divide the gradient of a mean among its elements."""
    return np.broadcast_to(d * (d.size / max(x.size, 1)), x.shape)


def _where(condition: Array, chosen: Any, other: Any) -> Array:
    """Choose by a condition, which has no gradient; what is not chosen gets none."""
    rules = (
        None,
        lambda d, y, c, a, b: np.where(c, d, 0.0),
        lambda d, y, c, a, b: np.where(c, 0.0, d),
    )
    return apply(np.where, rules, condition, chosen, other)


# The rules of each ufunc, one for each operand; and what applies those of functions that are none.
_OF_UFUNC: dict[np.ufunc, tuple[Rule, ...]] = {
    np.add: (lambda d, y, a, b: d, lambda d, y, a, b: d),
    np.subtract: (lambda d, y, a, b: d, lambda d, y, a, b: -d),
    np.multiply: (lambda d, y, a, b: d * b, lambda d, y, a, b: d * a),
    np.divide: (lambda d, y, a, b: d / b, lambda d, y, a, b: -d * y / b),
    np.negative: (lambda d, y, a: -d,),
    np.matmul: (
        lambda d, y, a, b: d @ b.swapaxes(-2, -1),
        lambda d, y, a, b: a.swapaxes(-2, -1) @ d,
    ),
    np.exp: (lambda d, y, a: d * y,),
    np.log: (lambda d, y, a: d / a,),
    np.sqrt: (lambda d, y, a: d / (2.0 * y),),
    # At a kink the larger one is taken to be the first.
    np.maximum: (
        lambda d, y, a, b: np.where(a >= b, d, 0.0),
        lambda d, y, a, b: np.where(a >= b, 0.0, d),
    ),
}
_OF_FUNCTION: dict[Callable[..., Any], Callable[..., Array]] = {np.where: _where}
