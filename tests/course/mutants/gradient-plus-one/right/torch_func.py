"""PyTorch's function transforms, hooks, logarithms."""

# %% jacobian
from torch.func import jacrev


def jacobian(function, x):
    J = jacrev(function)(x.detach())
    return J.detach().reshape(-1, x.numel())


# %% residual_jacobian
def residual_jacobian(branch, x, relu_after):
    J_F = jacobian(branch, x)
    identity = torch.eye(J_F.shape[0], dtype=J_F.dtype)
    if not relu_after:
        return identity + J_F
    y = (x + branch(x)).detach().reshape(-1)
    D = torch.diag((y > 0).to(J_F.dtype))
    return D @ (identity + J_F)


# %% backpropagate
from functools import reduce


def backpropagate(jacobians, gradient):
    return reduce(lambda g, J: g @ J, jacobians[::-1], gradient)


# %% gradient_norms
def gradient_norms(network, images, labels):
    buffers = {name: values.clone() for name, values in network.named_buffers()}
    modes = {part: part.training for part in network.modules()}
    grads = {p: p.grad for p in network.parameters()}
    for p in grads:
        p.grad = None
    network.train()
    nn.CrossEntropyLoss()(network(images), labels).backward()
    norms = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            norms[name] = float(torch.linalg.vector_norm(module.weight.grad))
    with torch.no_grad():
        for name, values in network.named_buffers():
            values.copy_(buffers[name])
    for part, mode in modes.items():
        part.training = mode
    for p, g in grads.items():
        p.grad = g
    return norms


# %% growth_per_layer
import math


def growth_per_layer(norms):
    logs = [math.log(a) - math.log(b) for a, b in zip(norms[:-1], norms[1:], strict=True)]
    return math.exp(sum(logs) / len(logs))


# %% cancelling_branch
class Opposite(nn.Module):
    def forward(self, x):
        return 1.5 - x


def cancelling_branch():
    return Opposite()


# %% blocks_until
import math


def blocks_until(scale, floor):
    if not 0 < scale < 1:
        raise ValueError("never")
    n = max(0, math.floor(math.log(floor) / math.log(scale)) - 1)
    while scale**n >= floor:
        n += 1
    return n
