"""Inference on a Ray cluster, here two workers of this machine: conversations, and a whole table.

``pip install simdrnn "ray[data]"``, then ``python examples/ray_inference.py``. An actor holds a
layer and the states of its clients, who send a piece at a time; ``map_batches`` runs whole
sequences, with a layer for each worker.
"""

import numpy as np
import ray

import simdrnn as sr


@ray.remote(num_cpus=1)
class Listener:
    """Hears clients, each of whom goes on where it stopped."""

    def __init__(self, layer):
        self.layer, self.states = layer, {}

    def hear(self, client, piece):
        """Return the output for the next piece (t, I) of a client."""
        output, state = self.layer(piece, self.states.get(client), num_threads=1)
        self.states[client] = state
        return output

    def leave(self, client):
        """Forget a client."""
        self.states.pop(client, None)


class Outputs:
    """The outputs of whole sequences, for ``map_batches``; made once by each worker."""

    def __init__(self, layer):
        self.layer = layer

    def __call__(self, batch):
        """Run a batch of rows (b, T, I)."""
        return {"y": self.layer(batch["data"], num_threads=1)[0]}


def conversations(layer, x):
    """Return the outputs of rows that arrive in pieces of ten steps, on two actors."""
    shared = ray.put(layer)
    actors = [Listener.remote(shared) for _ in range(2)]
    asked = []
    for start in range(0, x.shape[1], 10):
        for client, row in enumerate(x):  # a client's pieces go to one actor, in their order
            actor = actors[client % 2]
            asked.append(actor.hear.remote(client, row[start : start + 10]))
    heard = ray.get(asked)
    return np.stack([np.concatenate(heard[client :: len(x)]) for client in range(len(x))])


def table(layer, x):
    """Return the outputs of all rows of a data set."""
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    ray.data.DataContext.get_current().enable_progress_bars = False
    rows = ray.data.from_numpy(np.array_split(x, 4))
    pool = ray.data.ActorPoolStrategy(size=1)
    y = rows.map_batches(
        Outputs, fn_constructor_args=(layer,), batch_size=50, batch_format="numpy", compute=pool
    )
    return np.concatenate([batch["y"] for batch in y.iter_batches(batch_size=None)])


if __name__ == "__main__":
    layer = sr.GRU(8, 16, batch_first=True, seed=0)
    x = np.random.default_rng(0).standard_normal((200, 50, 8)).astype("float32")  # (B, T, I)
    expected = layer(x)[0]
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    same = np.array_equal(conversations(layer, x[:6]), expected[:6])
    print("conversations have the bits of one call:", same)
    print("the table has the bits of one call:", np.array_equal(table(layer, x), expected))
    ray.shutdown()
