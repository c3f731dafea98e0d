"""Look at an installed wheel, and at its file: what every wheel has to be before it is published.

``python tools/check_wheel.py`` in an environment where the wheel and NumPy are installed; with the
path of the file also its size and what is in it. ``--files-only FOLDER`` looks at the files
there, and needs nothing installed.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import zipfile
from pathlib import Path

IMPORT_MS = 50  # beside NumPy
MEGABYTES = 5  # of the file
ALLOWED = re.compile(
    r"simdrnn/[\w/]+\.(pyi?|pxd|h)|simdrnn/py\.typed|simdrnn/(_core|jax/_ffi)\.[\w-]+\.(so|pyd)"
    r"|simdrnn\.libs/lib(gomp|omp|gcc_s|stdc\+\+)[\w.+-]*|simdrnn/\.dylibs/\w+\.dylib"
    r"|simdrnn-[\w.]+\.dist-info/(METADATA|RECORD|WHEEL|entry_points\.txt|licenses/LICENSE"
    r"|sboms/[\w.-]+\.json)"
)


def check_file(path: Path) -> None:
    """Check size and members."""
    names = [name for name in zipfile.ZipFile(path).namelist() if not name.endswith("/")]
    strangers = [name for name in names if not ALLOWED.fullmatch(name)]
    size = path.stat().st_size / 1e6
    print(f"{path.name}: {size:.2f} MB, {len(names)} files")
    if strangers:
        sys.exit(f"wheel: unexpected {strangers}")
    if size >= MEGABYTES:
        sys.exit(f"wheel: expected less than {MEGABYTES} MB, got {size:.2f}")
    missing = [end for end in ("py.typed", "sboms/simdrnn.cdx.json") if not any_ends(names, end)]
    if missing:
        sys.exit(f"wheel: expected {missing}")


def any_ends(names: list[str], end: str) -> bool:
    """Tell whether a name ends so."""
    return any(name.endswith(end) for name in names)


def check_import() -> None:
    """Check how long an import takes in a fresh interpreter that has NumPy already."""
    program = (
        "import time, numpy; start = time.perf_counter(); import simdrnn; "
        "print(1e3 * (time.perf_counter() - start))"
    )
    command = [sys.executable, "-c", program]
    times = [float(subprocess.check_output(command, text=True)) for _ in range(6)][1:]
    took = statistics.median(times)
    print(f"import beside NumPy: {took:.1f} ms")
    if took >= IMPORT_MS:
        sys.exit(f"import: expected less than {IMPORT_MS} ms, got {took:.1f}")


def check_process() -> None:
    """Check what an import does to the process, and that a layer computes what its twin does."""
    import numpy as np

    import simdrnn as sr

    if hasattr(sys, "_is_gil_enabled") and sys.version.find("free-threading") >= 0:
        enabled = sys._is_gil_enabled()
        print(f"free-threading: the import has the lock {'taken' if enabled else 'left off'}")
        if enabled:
            sys.exit("import: expected a free-threaded interpreter to stay so")
    x = np.random.default_rng(0).standard_normal((20, 8, 5)).astype("float32")
    for kind in ("LSTM", "GRU"):
        layer, twin = (getattr(place, kind)(5, 33, seed=0) for place in (sr, sr.reference))
        one, two = layer(x, num_threads=1)[0], layer(x, num_threads=2)[0]
        if not np.array_equal(one, two):
            sys.exit(f"{kind}: expected the bits of one thread on two")
        if np.abs(one - twin(x.astype("float64"))[0]).max() > 1e-5:
            sys.exit(f"{kind}: expected the values of the NumPy twin")
    maps = Path("/proc/self/maps")
    if maps.is_file():
        runtimes = set(re.findall(r"\S*/lib(?:gomp|omp|iomp)\S*", maps.read_text()))
        print(f"OpenMP runtimes: {', '.join(sorted(runtimes))}")
        if len(runtimes) > 1:
            sys.exit("OpenMP: expected one runtime")
    sr.show_config()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--files-only"]:
        for wheel in sorted(Path(sys.argv[2]).glob("*.whl")):
            check_file(wheel)
        sys.exit()
    for name in sys.argv[1:]:
        check_file(Path(name))
    check_import()
    check_process()
