"""Batch inference over the workers of a Dask cluster, here two processes of this machine.

``pip install simdrnn "dask[distributed]"``, then ``python examples/dask_inference.py``.
"""

import dask.array
import numpy as np
from dask.distributed import Client, LocalCluster

import simdrnn as sr


def outputs(block, layer):
    """Run one block (T, b, I) on a worker."""
    return layer(block, num_threads=1)[0]


if __name__ == "__main__":
    layer = sr.GRU(8, 16, seed=0)
    x = np.random.default_rng(0).standard_normal((50, 1000, 8)).astype("float32")  # (T, B, I)
    rows = dask.array.from_array(x, chunks=(-1, 100, -1))  # whole sequences, 100 at a time
    y = rows.map_blocks(outputs, layer, dtype=x.dtype, chunks=(50, 100, 16))
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster):
        y = y.compute()
    print("the same bits as one call:", np.array_equal(y, layer(x)[0]))
