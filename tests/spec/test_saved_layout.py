"""Both engines agree on what lies where on a tape."""

from __future__ import annotations

from itertools import product

from helpers import INFOS
from simdrnn import _core
from simdrnn.spec.layer_norm import PLACEMENTS
from simdrnn.spec.options import Options


def test_the_layout_of_a_tape_is_the_compiled_engines():
    wrong = []

    for info, norm, zoneout in product(INFOS.values(), (None, *PLACEMENTS), (None, 0.1)):
        if norm and not info.normalisable:
            continue
        carried = norm is not None and PLACEMENTS[norm].carried
        compiled = _core.saved_layout(info.name, norm is not None, carried, zoneout is not None)
        ours = Options(layer_norm=norm, zoneout=zoneout).saved(info)._asdict()
        if compiled != ours:
            wrong.append((info.name, norm, zoneout, compiled, ours))

    assert wrong == []
