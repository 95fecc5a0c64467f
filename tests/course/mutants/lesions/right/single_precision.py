"""Shares and means of tensors, in single precision."""


# %% error
def error(network, images, labels):
    training = network.training
    network.eval()
    with torch.no_grad():
        wrong = (network(images).argmax(1) != labels).float().mean()
    network.train(training)
    return 100 * wrong.item()


# %% lesion_curve
def lesion_curve(network, delete, measure):
    after = torch.tensor([float(measure(delete(network, index))) for index in range(len(network.blocks))])
    return (after - measure(network)).tolist()


# %% share_of_paths
def share_of_paths(blocks, shortest, longest):
    shares = torch.ones(1)
    for _ in range(blocks):
        shares = (torch.cat([shares, torch.zeros(1)]) + torch.cat([torch.zeros(1), shares])) / 2
    return shares[shortest : longest + 1].sum().item()
