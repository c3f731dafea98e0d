"""Federated training with Flower, here all on this machine: clients keep their data.

``pip install simdrnn "flwr[simulation]"``, then ``python examples/flower_training.py``. Unlike in
data-parallel training, a client makes many steps between two meetings, and the server averages
weights and not gradients: few messages, and other results than one process would have.
"""

import numpy as np
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

import simdrnn as sr

CLIENTS, ROUNDS = 2, 3


def network():
    """Return the layers, equal on all sides at first."""
    return [sr.LSTM(4, 16, seed=0), sr.Linear(16, 1, seed=1)]


def weights(layers):
    """Return copies of all parameters, in their order."""
    return [array for layer in layers for array in layer.state_dict().values()]


def take(layers, arrays):
    """Set all parameters."""
    arrays = iter(arrays)
    for layer in layers:
        layer.load_state_dict({name: next(arrays) for name in layer.parameters()})


def data(client):
    """Return what only this client has: x (T, B, I) and y (T, B, 1)."""
    x = np.random.default_rng(client).standard_normal((20, 32, 4)).astype("float32")
    return x, np.cumsum(x[..., :1], axis=0)


client_app, server_app = ClientApp(), ServerApp()


@client_app.train()
def train(message, context):
    """Make some steps from the server's weights; send back one's own."""
    layers = network()
    take(layers, message.content["arrays"].to_numpy_ndarrays())
    x, y = data(int(context.node_config["partition-id"]))
    optimizer = sr.optim.Adam(layers, lr=1e-2)
    for _ in range(30):
        tape = layers[0].record(x, num_threads=1)
        out = layers[1].record(tape.output)
        loss = sr.mse(out.output, y)
        grads = out.backward(loss.backward())
        optimizer.step([tape.backward(grads.x), grads], max_norm=1.0)
    metrics = MetricRecord({"loss": loss.value, "num-examples": x.shape[1]})
    content = RecordDict({"arrays": ArrayRecord(weights(layers)), "metrics": metrics})
    return Message(content, reply_to=message)


@server_app.main()
def main(grid, context):
    """Average what the clients send, a few times; print how it does on data that nobody has."""
    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=CLIENTS, min_available_nodes=CLIENTS)
    layers = network()
    first = ArrayRecord(weights(layers))
    result = strategy.start(grid=grid, initial_arrays=first, num_rounds=ROUNDS)
    x, y = data(client=1000)
    losses = []
    for arrays in (first, result.arrays):
        take(layers, arrays.to_numpy_ndarrays())
        losses.append(sr.mse(layers[1](layers[0](x)[0]), y).value)
    print(
        f"loss {losses[0]:.3f} before, {losses[1]:.3f} after {ROUNDS} rounds of {CLIENTS} clients"
    )


if __name__ == "__main__":
    resources = {"init_args": {"num_cpus": 2}, "client_resources": {"num_cpus": 1, "num_gpus": 0.0}}
    run_simulation(server_app, client_app, num_supernodes=CLIENTS, backend_config=resources)
