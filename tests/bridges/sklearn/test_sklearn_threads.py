"""On whose threads calls run in a program with scikit-learn."""

from __future__ import annotations

import pytest

from helpers import printed

pytestmark = pytest.mark.peers
pytest.importorskip("sklearn", reason="needs the [peers] extra: scikit-learn")

RUNTIME = "from simdrnn.runtime import config; print(config()['thread_runtime'])"


def test_importing_the_estimators_shares_scikit_learns_threads():
    beside = printed(f"import simdrnn.sklearn; {RUNTIME}", SIMDRNN_THREADING=None)
    alone = printed(f"import sklearn.ensemble; {RUNTIME}", SIMDRNN_THREADING=None)

    assert beside.startswith("OpenMP, ")
    assert "scikit_learn" in beside
    assert alone.startswith("own pool")


@pytest.mark.parametrize("order", [("torch", "sklearn"), ("sklearn", "torch")])
def test_pytorch_keeps_closer_company(order):
    pytest.importorskip("torch", reason="needs the [peers] extra: torch")

    both = printed(
        f"import simdrnn.{order[0]}, simdrnn.{order[1]}; {RUNTIME}", SIMDRNN_THREADING=None
    )

    assert both == printed(f"import simdrnn.torch; {RUNTIME}", SIMDRNN_THREADING=None)


def test_what_was_chosen_stays_chosen():
    chosen = printed(f"import simdrnn.sklearn; {RUNTIME}", SIMDRNN_THREADING="pool")

    assert chosen.startswith("own pool")
