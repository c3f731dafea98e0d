"""Data-parallel training over torch.distributed's gloo, which averages our NumPy buffers in place.

``pip install simdrnn torch``, then ``python examples/data_parallel_gloo.py 2`` starts two processes
on this machine. On several, a shared folder or PyTorch's other ways of meeting take the place of
the temporary file.
"""

import sys
import tempfile

import numpy as np
import torch
import torch.distributed

import simdrnn as sr


def mean(buffer):
    """Replace a buffer by its mean over all processes, in place: the tensor shares its memory."""
    torch.distributed.all_reduce(torch.from_numpy(buffer))
    buffer /= torch.distributed.get_world_size()


def train(rank, count, store):
    """Train on one part of each batch."""
    torch.distributed.init_process_group("gloo", f"file://{store}", rank=rank, world_size=count)
    sr.set_num_threads(1)  # each process its share of the cores
    x = np.random.default_rng(0).standard_normal((20, 32, 8)).astype("float32")  # (T, B, I)
    y = np.cumsum(x[..., :1], axis=0)
    x, y = (np.array_split(array, count, axis=1)[rank] for array in (x, y))

    layer, head = sr.LSTM(8, 32, seed=0), sr.Linear(32, 1, seed=1)  # one seed: equal at first
    optimizer = sr.optim.Adam([layer, head], lr=3e-3, all_reduce=mean)
    for _ in range(60):
        tape = layer.record(x)
        out = head.record(tape.output)
        loss = sr.mse(out.output, y)
        grads = out.backward(loss.backward())
        optimizer.step([tape.backward(grads.x), grads], max_norm=1.0)

    average = np.array([loss.value])
    mean(average)
    if rank == 0:
        print(f"loss {average[0]:.4f} on {count} process(es)")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    processes = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    with tempfile.TemporaryDirectory() as folder:
        arguments = (processes, f"{folder}/store")
        torch.multiprocessing.spawn(train, arguments, nprocs=processes)
