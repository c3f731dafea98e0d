"""Data-parallel training over MPI: every rank sees its part of each batch.

``pip install simdrnn mpi4py mpich``, then, with a share of the cores for each rank,
``OMP_NUM_THREADS=1 mpiexec -n 2 python examples/data_parallel_mpi.py``. One rank, two or four learn
the same, to the bit.
"""

import hashlib

import numpy as np
from mpi4py import MPI

import simdrnn as sr

workers = MPI.COMM_WORLD


def exchange(buffer, partner):
    """Send a buffer to a partner; return the partner's."""
    other = np.empty_like(buffer)
    workers.Sendrecv(buffer, partner, recvbuf=other, source=partner)
    return other


x = np.random.default_rng(0).standard_normal((20, 32, 8)).astype("float32")  # (T, B, I)
y = np.cumsum(x[..., :1], axis=0)

mean = sr.optim.TreeMean(4, rank=workers.rank, ranks=workers.size, exchange=exchange)
layer, head = sr.LSTM(8, 32, seed=0), sr.Linear(32, 1, seed=1)  # one seed: equal at first
optimizer = sr.optim.Adam([layer, head], lr=3e-3, all_reduce=mean)


def gradients(rows, losses):
    """Record some rows of the batch."""
    tape = layer.record(x[:, rows])
    out = head.record(tape.output)
    loss = sr.mse(out.output, y[:, rows])
    losses.append(np.array([loss.value]))
    grads = out.backward(loss.backward())
    return [tape.backward(grads.x), grads]


for _ in range(100):
    losses = []
    grads = mean.sum(gradients(rows, losses) for rows in mean.rows(32))
    optimizer.step(grads, max_norm=1.0)

average = mean.sum(losses)
mean(average)
if workers.rank == 0:
    bits = hashlib.sha256(b"".join(a.tobytes() for a in layer.parameters().values())).hexdigest()
    print(f"loss {average[0]:.4f}, weights {bits[:16]} on {workers.size} rank(s)")
