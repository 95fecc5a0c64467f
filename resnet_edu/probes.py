"""Measurements on a network: pure functions from a network and a batch to numbers."""

import copy

from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu.networks import weighted_layers


def gradient_norms(network: nn.Module, images: Tensor, labels: Tensor) -> dict[str, float]:
    """Return the norm of the loss gradient with respect to each layer's weights, input first.

    ``images`` ``(N, C, H, W)`` are normalised floats, ``labels`` ``(N,)`` class numbers. The layers are those
    that the paper counts (convolutions and the linear layer, no projections). Batch normalisation uses the
    batch's statistics, as in training. The network and its running statistics stay as they are.
    """
    network = copy.deepcopy(network).train()
    network.zero_grad()
    F.cross_entropy(network(images), labels).backward()
    return {name: layer.weight.grad.norm().item() for name, layer in weighted_layers(network).items()}
