#!/usr/bin/env bash
# tools/races.sh [PYTHON]: runs tools/races.py under the thread sanitizer, on both kinds of threads, with the simdrnn
# of that interpreter (or of PYTHONPATH) built with -DSIMDRNN_SANITIZE=thread. What is found ends it with 66.
set -euo pipefail
cd "$(dirname "$0")/.."
interpreter=$("${1:-python}" -c 'import sys; print(sys.executable)')
for threading in pool openmp; do
  # The runtime comes first and libstdc++ with it, as for the other sanitizers. Without random addresses: kernels
  # that spread them further than this runtime expects end it at its start.
  env LD_PRELOAD="$(g++ -print-file-name=libtsan.so) $(g++ -print-file-name=libstdc++.so.6)" \
    TSAN_OPTIONS="exitcode=66 second_deadlock_stack=1" SIMDRNN_THREADING=$threading OMP_NUM_THREADS=2 \
    setarch -R "$interpreter" tools/races.py
done
