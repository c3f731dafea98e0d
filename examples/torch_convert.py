"""A PyTorch model gets our engine by one line, and is trained as before."""

import torch

from simdrnn.torch import convert

torch.manual_seed(0)
rnn, out = torch.nn.LSTM(8, 32, batch_first=True), torch.nn.Linear(32, 1)
model = convert(torch.nn.ModuleList([rnn, out]), report=print)  # 0: now simdrnn.torch.LSTM(...)
optimiser = torch.optim.Adam(model.parameters(), 0.01)
x = torch.randn(64, 20, 8)
y = x.sum(-1).cumsum(1)  # to be summed up: what an LSTM is for
for step in range(101):
    loss = torch.nn.functional.mse_loss(out(rnn(x)[0])[..., 0], y)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    if step % 50 == 0:
        print(f"step {step}: loss {loss.item():.1f}")
