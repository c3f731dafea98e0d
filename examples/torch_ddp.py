"""Data-parallel training: two processes, each with half of the batch, end where one does.

Run with ``python examples/torch_ddp.py``; on several machines, with ``torchrun``.
"""

import tempfile
from pathlib import Path

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from simdrnn.torch import GRU


def train(wrap, x, y, steps=5):
    """Train a model, wrapped by `wrap`, on these rows; return its parameters."""
    torch.manual_seed(0)  # the same initial weights everywhere
    model = nn.ModuleDict({"rnn": GRU(4, 16, num_layers=2), "out": nn.Linear(16, 1)})
    rnn, out = wrap(model["rnn"]), wrap(model["out"])
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(steps):
        optimiser.zero_grad()
        nn.functional.mse_loss(out(rnn(x)[0]), y).backward()  # gradients are averaged here
        optimiser.step()
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def batch():
    """Return inputs (T, B, I) and targets (T, B, 1)."""
    x = torch.randn(12, 8, 4, generator=torch.Generator().manual_seed(1))
    return x, x.mean(-1, keepdim=True)


def work(rank, size, folder):
    """Train on every `size`-th row, as process `rank`."""
    torch.set_num_threads(1)
    meeting = (Path(folder) / "meeting").as_uri()
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size)
    x, y = batch()
    parameters = train(DistributedDataParallel, x[:, rank::size], y[:, rank::size])
    torch.save(parameters, Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


def main(size=2):
    """Compare one process with several."""
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(work, (size, folder), nprocs=size)
        found = [torch.load(Path(folder) / f"{k}.pt", weights_only=True) for k in range(size)]
    alone = train(lambda module: module, *batch())
    differences = [(one - alone).abs().max().item() for one in found]
    print(f"{size} processes and one: parameters differ by at most {max(differences):.1e}")
    return differences


if __name__ == "__main__":
    main()
