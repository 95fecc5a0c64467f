"""Several seeds as one network with grouped convolutions, against the same networks one after the other.

python -m benchmarks.seeds

Training on the digits is bound by overhead, so one network with five times the channels might take less than five
times as long. Both are timed side by side in processor time, which a busy machine changes little. In double precision
the weights stay equal; in single precision the order of the sums matters, and training enlarges the difference.
"""

import copy
import statistics
import time

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_edu.datasets import digits
from resnet_edu.networks import cifar_resnet
from resnet_edu.training import cpu_threads

SEEDS, BATCH, STEPS, ROUNDS = 5, 64, 8, 5


class GroupedLinear(nn.Module):
    """The linear layers of several networks: (N, K·C) -> (N, K·10)."""

    def __init__(self, layers: list[nn.Linear]):
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))  # (K, 10, C)
        self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        parts = x.view(len(x), len(self.weight), -1)
        return (torch.einsum("nkc,koc->nko", parts, self.weight) + self.bias).flatten(1)


def grouped(networks: list[nn.Module]) -> nn.Module:
    """Return networks of the same shape, without option A's padding, as one whose k-th share is the k-th network."""
    whole = copy.deepcopy(networks[0])
    whole.in_channels *= len(networks)
    for name, module in networks[0].named_modules():
        layers = [network.get_submodule(name) for network in networks]
        if isinstance(module, nn.Conv2d):
            made = nn.Conv2d(
                len(networks) * module.in_channels, len(networks) * module.out_channels, module.kernel_size,
                module.stride, module.padding, groups=len(networks) * module.groups, bias=module.bias is not None,
            )  # fmt: skip
        elif isinstance(module, nn.BatchNorm2d):
            made = nn.BatchNorm2d(len(networks) * module.num_features, module.eps, module.momentum)
        elif isinstance(module, nn.Linear):
            made = GroupedLinear(layers)
        else:
            continue
        if not isinstance(module, nn.Linear):
            made.load_state_dict(
                {
                    key: torch.cat([layer.state_dict()[key] for layer in layers]) if value.dim() else value
                    for key, value in module.state_dict().items()
                }
            )
        whole.set_submodule(name, made)
    return whole.to(memory_format=torch.channels_last)


def new_networks(depth: int, shortcut: str) -> list[nn.Module]:
    """Return a network a seed, in the memory order in which ``train`` takes it."""
    networks = []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        networks.append(cifar_resnet(depth, shortcut=shortcut, width=8, in_channels=1))
    return [network.to(memory_format=torch.channels_last) for network in networks]


def batches() -> list[tuple[Tensor, Tensor]]:
    """Return for each step the images (N, K, 8, 8), a channel a seed, and the labels (N, K)."""
    data, made = digits(), []
    images = data.normalize(data.train.images)
    for step in range(STEPS):
        chosen = [torch.randperm(len(images), generator=torch.Generator().manual_seed(100 * step + seed))[:BATCH]
                  for seed in range(SEEDS)]  # fmt: skip
        made.append(
            (torch.cat([images[one] for one in chosen], 1), torch.stack([data.train.labels[one] for one in chosen], 1))
        )
    return made


def steps(network: nn.Module, data: list[tuple[Tensor, Tensor]]) -> float:
    """Train one step a batch; return the seconds of processor time a step."""
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=1e-4, foreach=True)
    start = time.process_time()
    for images, labels in data:
        logits = network(images.contiguous(memory_format=torch.channels_last))
        logits = logits.view(len(labels), labels.shape[1], -1)
        loss = F.cross_entropy(logits.transpose(1, 2), labels, reduction="sum") / len(labels)  # a sum over the seeds
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.process_time() - start) / len(data)


def compare(depth: int, shortcut: str) -> tuple[float, float, float]:
    """Return milliseconds a step and seed, apart and as one, and how far the weights are apart afterwards."""
    data, apart, whole = batches(), [], []
    for _ in range(ROUNDS):
        networks = new_networks(depth, shortcut)
        one = grouped(networks)
        whole.append(steps(one, data))
        for seed, network in enumerate(networks):
            share = [(images[:, seed : seed + 1], labels[:, seed : seed + 1]) for images, labels in data]
            apart.append(steps(network, share))
    off = max(
        (a - torch.cat([network.get_submodule(name).weight for network in networks])).abs().max().item()
        for name, module in one.named_modules()
        if isinstance(module, nn.Conv2d)
        for a in [module.weight]
    )
    return 1000 * statistics.median(apart), 1000 * statistics.median(whole) / SEEDS, off


def main() -> None:
    """Run the command line."""
    print(f"{SEEDS} seeds, batches of {BATCH} digits, one thread, PyTorch {torch.__version__}")
    print(f"{'network':<14}{'apart (ms)':>12}{'as one (ms)':>13}{'gain':>8}{'weights apart by':>19}")
    with cpu_threads(1):
        for depth in (8, 20, 56):
            for shortcut in ("none", "B"):
                alone, together, off = compare(depth, shortcut)
                name = f"{'plain' if shortcut == 'none' else 'residual'}-{depth}"
                print(f"{name:<14}{alone:>12.1f}{together:>13.1f}{alone / together:>8.2f}{off:>19.1e}", flush=True)


if __name__ == "__main__":
    main()
