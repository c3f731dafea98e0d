"""Data-parallel training over MPI: every rank sees its part of each batch.

``pip install simdrnn mpi4py mpich``, then, with a share of the cores for each rank,
``OMP_NUM_THREADS=1 mpiexec -n 2 python examples/data_parallel_mpi.py``. One rank learns the same,
up to rounding.
"""

import numpy as np
from mpi4py import MPI

import simdrnn as sr

workers = MPI.COMM_WORLD


def mean(buffer):
    """Replace a buffer by its mean over all ranks, in place."""
    workers.Allreduce(MPI.IN_PLACE, buffer, op=MPI.SUM)
    buffer /= workers.size


x = np.random.default_rng(0).standard_normal((20, 32, 8)).astype("float32")  # (T, B, I)
y = np.cumsum(x[..., :1], axis=0)
x, y = (np.array_split(array, workers.size, axis=1)[workers.rank] for array in (x, y))

layer, head = sr.LSTM(8, 32, seed=0), sr.Linear(32, 1, seed=1)  # one seed: equal at first
optimizer = sr.optim.Adam([layer, head], lr=3e-3, all_reduce=mean)
for _ in range(60):
    tape = layer.record(x)
    out = head.record(tape.output)
    loss = sr.mse(out.output, y)
    grads = out.backward(loss.backward())
    optimizer.step([tape.backward(grads.x), grads], max_norm=1.0)

average = workers.allreduce(loss.value) / workers.size
if workers.rank == 0:
    print(f"loss {average:.4f} on {workers.size} rank(s)")
