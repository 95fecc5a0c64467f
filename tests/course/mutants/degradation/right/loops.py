"""Loops and lists; a generator from a forked random state."""


# %% identity_block
def identity_block(channels):
    block = nn.Sequential()
    for i in (1, 2):
        conv, bn = nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        kernel = torch.zeros(channels, channels, 3, 3)
        kernel[range(channels), range(channels), 1, 1] = 0.5
        conv.weight = nn.Parameter(kernel)
        bn.weight.data[:] = 2 * (1 + bn.eps) ** 0.5
        block.add_module(f"conv{i}", conv)
        block.add_module(f"bn{i}", bn)
        block.add_module(f"relu{i}", nn.ReLU())
    return block


# %% run
def run(depth, shortcut, seed, data, epochs):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        options = {"width": 8, "in_channels": data.in_channels, "num_classes": data.num_classes}
        network = cifar_resnet(depth, shortcut=shortcut, **options)
    errors = []
    config = TrainConfig(epochs=epochs, seed=seed)
    for record in train(network, data, config):
        errors.append(record.train_error)
    return errors


# %% reported_error
def reported_error(validation, test):
    return test[validation.index(min(validation))]


# %% learning_rate
def learning_rate(step, steps, warmup=0):
    rate = 0.1
    for milestone in (0.5, 0.75):
        if step / steps >= milestone:
            rate *= 0.1
    return 0.01 if step < warmup else rate


# %% diagnosis
def diagnosis(shallow, deep):
    def mean(values):
        total = 0
        for value in values:
            total += value
        return total / len(values)

    if mean(deep["train"]) > mean(shallow["train"]):
        return "degradation"
    if mean(deep["test"]) > mean(shallow["test"]):
        return "overfitting"
    return "neither"
