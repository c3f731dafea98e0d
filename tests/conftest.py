"""Fixtures: what the suite runs over."""

from __future__ import annotations

import gc
import inspect
import os
import time
import zlib
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

# Products of the NumPy reference are small: on threads of their own, BLAS mostly waits.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import settings

from helpers_loops import seed_global_generators
from helpers_shared import alone

# Property tests draw the same examples in every run; pytest --hypothesis-profile=explore draws new
# ones, and many more. No deadlines: this machine may be doing something else.
settings.register_profile("ci", derandomize=True, deadline=None, max_examples=200)
settings.register_profile("explore", deadline=None, max_examples=5000, print_blob=True)
settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the products of all factors beside the rows that cover them."""
    parser.addoption(
        "--exhaustive", action="store_true",
        help="run every oracle on products of the table's factors too: about 50 times as many rows",
    )  # fmt: skip


# How often a test that measures may try, and how long it waits for other programs in between.
_TRIES, _PAUSE = 3, 1.0


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for --exhaustive alone."""
    if not config.getoption("--exhaustive"):
        left = [item for item in items if item.get_closest_marker("exhaustive")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Try a test that measures again, since other programs may have been in its way."""
    if pyfuncitem.get_closest_marker("quiet") is None:
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    given = {name: pyfuncitem.funcargs[name] for name in names}
    for left in reversed(range(_TRIES)):
        try:
            pyfuncitem.obj(**given)
            break
        except AssertionError:
            if not left:
                raise
            time.sleep(_PAUSE)
    return True


def pytest_collection_finish():
    """Take the tests themselves, thousands, out of what every garbage collection visits."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def shared_generators(request: pytest.FixtureRequest) -> None:
    """Start what draws from the process's own generators at the same place in every run."""
    seed_global_generators(request.node.name)


@pytest.fixture(autouse=True)
def undisturbed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let a test that measures wait for those of other processes that measure or compile."""
    if request.node.get_closest_marker("quiet") is None:
        yield
    else:
        with alone(request.getfixturevalue("tmp_path_factory")):
            yield


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Give each test numbers of its own, the same in every run; the seed is shown on failure."""
    seed = zlib.crc32(request.node.name.encode())
    print(f"rng seed: {seed}")
    return np.random.default_rng(seed)


@pytest.fixture(params=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> str:
    """Name of a floating-point type."""
    return str(request.param)


@pytest.fixture(params=[1, 2, 3, 7], ids=lambda count: f"threads{count}")
def threads(request: pytest.FixtureRequest) -> int:
    """Count of threads."""
    return int(request.param)


@pytest.fixture(params=["reference", "compiled"])
def engine(request: pytest.FixtureRequest) -> ModuleType:
    """Namespace whose layers run on one of the engines."""
    if request.param == "reference":
        return import_module("simdrnn.reference")
    pytest.importorskip("simdrnn._core", reason="the extension is not built")
    return import_module("simdrnn")


@pytest.fixture(params=["scalar", "avx2", "avx512"])
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Name of an instruction set, in use while the test runs."""
    pytest.importorskip("simdrnn._core", reason="the extension is not built")
    choice = import_module("simdrnn").isa
    if request.param not in choice.available():
        pytest.skip(f"this CPU or build has no {request.param}")
    before = choice.active()
    choice.use(request.param)
    yield request.param
    choice.use(before)


@pytest.fixture
def built():
    pytest.importorskip("simdrnn._core", reason="the extension is not built")


@pytest.fixture
def torch() -> Iterator[ModuleType]:
    """PyTorch on one thread: waking more takes longer than the tests' work."""
    module = pytest.importorskip("torch", reason="needs the [peers] extra: torch")
    threads = module.get_num_threads()
    module.set_num_threads(1)
    yield module
    module.set_num_threads(threads)
