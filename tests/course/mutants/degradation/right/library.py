"""With NumPy, the statistics module and the package's trials."""


# %% identity_block
class IdentityBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        with torch.no_grad():
            for conv in (self.conv1, self.conv2):
                conv.weight.zero_()
                for c in range(channels):
                    conv.weight[c, c, 1, 1] = 1
            for bn in (self.bn1, self.bn2):
                bn.running_var.fill_(1 - bn.eps)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(x)))


def identity_block(channels):
    return IdentityBlock(channels)


# %% run
from resnet_edu.trials import Trial, run_trial


def run(depth, shortcut, seed, data, epochs):
    outcome = run_trial(Trial(depth, shortcut, seed, config=TrainConfig(epochs=epochs, seed=seed)), data)
    return [record.train_error for record in outcome.records]


# %% mean_and_sd
import statistics


def mean_and_sd(values):
    if len(values) <= 1:
        raise ValueError("too few")
    return statistics.mean(values), statistics.stdev(values)


# %% reported_error
import numpy as np


def reported_error(validation, test):
    return test[int(np.argmin(validation))]


# %% paired_difference
import numpy as np


def paired_difference(first, second):
    seeds = sorted(set(first).intersection(second))
    if len(seeds) == 0:
        raise ValueError("nothing to pair")
    differences = np.array([first[s] for s in seeds]) - np.array([second[s] for s in seeds])
    return float(differences.mean()), differences.size


# %% learning_rate
from resnet_edu.training import learning_rate_at


def learning_rate(step, steps, warmup=0):
    return learning_rate_at(TrainConfig(schedule="paper", warmup_steps=warmup), step, steps)


# %% diagnosis
import statistics


def diagnosis(shallow, deep):
    rise = {split: statistics.fmean(deep[split]) - statistics.fmean(shallow[split]) for split in ("train", "test")}
    if rise["train"] > 0:
        return "degradation"
    elif rise["test"] > 0:
        return "overfitting"
    return "neither"
