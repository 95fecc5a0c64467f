"""Tensors of single precision, read with item()."""


# %% mean_and_sd
def mean_and_sd(values):
    if len(values) < 2:
        raise ValueError("a spread needs two values")
    numbers = torch.tensor(values)
    return numbers.mean().item(), numbers.std().item()


# %% reported_error
def reported_error(validation, test):
    return torch.tensor(test)[torch.tensor(validation).argmin()].item()


# %% paired_difference
def paired_difference(first, second):
    seeds = [seed for seed in first if seed in second]
    if not seeds:
        raise ValueError("no seed in common")
    pairs = torch.tensor([[first[seed], second[seed]] for seed in seeds])
    return (pairs[:, 0] - pairs[:, 1]).mean().item(), len(seeds)


# %% learning_rate
def learning_rate(step, steps, warmup=0):
    rate = torch.tensor(0.1)
    if step < warmup:
        rate = rate / 10
    if step >= steps / 2:
        rate = rate / 10
    if step >= steps * 3 / 4:
        rate = rate / 10
    return rate.item()


# %% diagnosis
def diagnosis(shallow, deep):
    rises = {split: torch.tensor(deep[split]).float().mean() for split in deep}
    for split, errors in shallow.items():
        rises[split] -= torch.tensor(errors).float().mean()
    if rises["train"] > 1e-5:
        return "degradation"
    return "overfitting" if rises["test"] > 1e-5 else "neither"
