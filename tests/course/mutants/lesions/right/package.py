"""What the package has, where the question allows it; floating-point recursion."""


# %% error
def error(network, images, labels):
    before = {module: module.training for module in network.modules()}
    network.eval()
    with torch.inference_mode():
        predicted = network(images).max(dim=1).indices
    for module, mode in before.items():
        module.training = mode
    return float((predicted != labels).sum() / len(labels) * 100)


# %% swap_blocks
def swap_blocks(network, i, j):
    order = list(range(len(network.blocks)))
    order[i], order[j] = j, i
    stage = [number for number, stage in enumerate(network.stages) for _ in stage]
    first = [True] + [a != b for a, b in zip(stage[1:], stage[:-1], strict=True)]
    if stage[i] != stage[j] or any(first[k] and stage[k] > 0 for k in (i, j)):
        raise ValueError("these cannot change places")
    return interventions.reorder_blocks(network, order)


# %% recalibrate
from resnet_edu import probes


def recalibrate(network, images):
    return probes.recalibrate(network, images)


# %% share_of_paths
def share_of_paths(blocks, shortest, longest):
    shares = [1.0]
    for _ in range(blocks):
        shares = [(a + b) / 2 for a, b in zip([*shares, 0.0], [0.0, *shares], strict=True)]
    return sum(shares[shortest : longest + 1])
