"""Text for the character model: read, split, and cut into mini-batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simdrnn.demos import DemoError
from simdrnn.validate import Array

__all__ = ["Corpus", "chunks", "documentation", "load_file", "make_corpus"]


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """A text as integers.

    Attributes
    ----------
    characters : the vocabulary: the different characters, sorted; integer k stands for the k-th.
    training, held_out : the first nine tenths of the text and the last one; 1-d integers.
    """

    characters: str
    training: Array
    held_out: Array

    def decode(self, integers: list[int]) -> str:
        """Return the text that `integers` stand for."""
        return "".join(self.characters[k] for k in integers)


def documentation() -> str:
    """Return the language reference that ships with every CPython, as `help()` shows it."""
    from pydoc_data.topics import topics

    return "\n\n".join(topics[name] for name in sorted(topics))


def load_file(path: str) -> str:
    """Return the text of a UTF-8 file.

    Raises
    ------
    DemoError : the file cannot be read, or is not UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8-sig")  # drops a byte order mark
    except UnicodeDecodeError as error:
        raise DemoError(
            f"{path}: expected UTF-8 text, got byte {error.start} that is not"
        ) from None
    except OSError as error:
        raise DemoError(f"{path}: {(error.strerror or str(error)).lower()}") from None


def make_corpus(name: str, text: str, length: int) -> Corpus:
    """Encode `text` and hold the last tenth out.

    Parameters
    ----------
    name : of the text, for the message.
    text : any text of at least ``10 * (length + 1)`` characters.
    length : T, steps of one training chunk, which is what the held-out part has to allow for.
    """
    least = 10 * (length + 1)
    if len(text) < least:
        raise DemoError(
            f"{name}: expected at least {least} characters for --length {length}, got {len(text)}"
        )
    # UTF-32 is one integer per character, so NumPy can do the rest; a lone surrogate, which a
    # file cannot hold but a string can, passes too.
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    vocabulary, integers = np.unique(points, return_inverse=True)
    characters = "".join(chr(point) for point in vocabulary.tolist())
    integers = integers.reshape(-1)
    split = len(text) - len(text) // 10
    return Corpus(characters, integers[:split], integers[split:])


def chunks(integers: Array, batch: int, length: int) -> Iterator[tuple[Array, Array]]:
    """Cut a text into rows read side by side, and yield them `length` steps at a time.

    Parameters
    ----------
    integers : (N,).
    batch : B, at most; a short text is cut into fewer rows, each of one chunk at least.
    length : T.

    Yields
    ------
    inputs, targets : (T, B), the targets one character ahead. Row b of one chunk continues row b of
        the chunk before, so a state can be carried; what does not fill a chunk is left out.

    Examples
    --------
    >>> import numpy as np
    >>> inputs, targets = next(chunks(np.arange(12), batch=2, length=3))
    >>> inputs.T, targets.T
    (array([[0, 1, 2],
           [5, 6, 7]]), array([[1, 2, 3],
           [6, 7, 8]]))
    """
    batch = max(1, min(batch, (integers.size - 1) // length))
    steps = (integers.size - 1) // batch
    inputs = integers[: batch * steps].reshape(batch, steps).T
    targets = integers[1 : batch * steps + 1].reshape(batch, steps).T
    for start in range(0, steps - length + 1, length):
        yield inputs[start : start + length], targets[start : start + length]
