"""Data-parallel training over torch.distributed's gloo, which carries our NumPy buffers.

``pip install simdrnn torch``, then ``python examples/data_parallel_gloo.py 2`` starts two processes
on this machine. One, two or four learn the same, to the bit. On several machines, a shared folder
or PyTorch's other ways of meeting take the place of the temporary file.
"""

import hashlib
import sys
import tempfile

import numpy as np
import torch
import torch.distributed

import simdrnn as sr


def exchange(buffer, partner):
    """Send a buffer to a partner; return the partner's. The tensors share the arrays' memory."""
    other = np.empty_like(buffer)
    sent = torch.distributed.isend(torch.from_numpy(buffer), partner)
    torch.distributed.recv(torch.from_numpy(other), partner)
    sent.wait()
    return other


def train(rank, count, store):
    """Train on one part of each batch."""
    torch.distributed.init_process_group("gloo", f"file://{store}", rank=rank, world_size=count)
    sr.set_num_threads(1)  # each process its share of the cores
    x = np.random.default_rng(0).standard_normal((20, 32, 8)).astype("float32")  # (T, B, I)
    y = np.cumsum(x[..., :1], axis=0)

    mean = sr.optim.TreeMean(4, rank=rank, ranks=count, exchange=exchange)
    layer, head = sr.LSTM(8, 32, seed=0), sr.Linear(32, 1, seed=1)  # one seed: equal at first
    optimizer = sr.optim.Adam([layer, head], lr=3e-3, all_reduce=mean)

    def gradients(rows, losses):
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
    if rank == 0:
        weights = b"".join(array.tobytes() for array in layer.parameters().values())
        bits = hashlib.sha256(weights).hexdigest()
        print(f"loss {average[0]:.4f}, weights {bits[:16]} on {count} process(es)")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    processes = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    with tempfile.TemporaryDirectory() as folder:
        arguments = (processes, f"{folder}/store")
        torch.multiprocessing.spawn(train, arguments, nprocs=processes)
