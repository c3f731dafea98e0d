"""How sphinx-gallery goes through the examples: by kind, and each without the helpers of others."""

from __future__ import annotations

from pathlib import Path

from simdrnn.demos.gallery import KINDS, forget_helpers

_NAMES = [name for members in KINDS.values() for name in members]


def by_kind(folder: str) -> tuple[int, str]:
    """Return where a folder stands: in the order of kinds, others behind by name."""
    name = Path(folder).name
    return (_NAMES.index(name) if name in _NAMES else len(_NAMES), name)


def reset(conf: dict[str, object], file: str) -> None:
    """Forget modules like ``_data`` that stood beside another script."""
    forget_helpers()
