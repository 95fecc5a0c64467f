"""Many paths: solutions."""

import numpy as np
import torch
from torch.nn import functional as F

from resnet_edu import runs
from resnet_edu.blocks import PreActBasicBlock
from resnet_edu.datasets import digits
from resnet_edu.interventions import random_cuts, repeat_block, vote
from resnet_edu.probes import PathTape
from resnet_edu.solutions import seeds
from resnet_edu.training import TrainConfig, evaluate, train
from resnet_edu.trials import Trial


@seeds(5)
def exercise_1(seed):
    """Test error in percent with one block deleted, the mean over the blocks
    that keep the shape, read from the run bank:

    | network | intact | stored statistics | fresh ones |
    |---|---|---|---|
    | plain-20 | {plain20_intact:.1f} | {plain20_mean:.1f} | {plain20_recalibrated:.1f} |
    | residual-20 | {residual20_intact:.1f} | {residual20_mean:.1f} | {residual20_recalibrated:.1f} |
    | pre-activation-20 | {pre20_intact:.1f} | {pre20_mean:.1f} | {pre20_recalibrated:.1f} |
    | residual-56 | {residual56_intact:.1f} | {residual56_mean:.1f} | {residual56_recalibrated:.1f} |
    | pre-activation-56 | {pre56_intact:.1f} | {pre56_mean:.1f} | {pre56_recalibrated:.1f} |

    In the residual networks most of the damage was statistics. In plain-20
    hardly any was: it fails with fresh ones as well.
    """
    found = {}
    for depth in (20, 56):
        for name, shortcut, activation in (
            ("plain", "none", "post"),
            ("residual", "A", "post"),
            ("pre", "A", "pre"),
        ):
            cell = runs.load("lesions").select(
                depth=depth,
                shortcut=shortcut,
                activation=activation,
                seed=seed,
            )
            for key in ("intact", "mean", "recalibrated"):
                value = cell.last(f"lesions.{key}").mean
                found[f"{name}{depth}_{key}"] = value
    return found


def exercise_2():
    """Yes, once the ReLU is counted. With D for its mask, each block has the
    Jacobian D (I + J), and a product of such factors can be multiplied out
    like the one without D: every path then passes all masks. (As it stands in
    the text, without them, the equation does not hold for this network.) The
    largest entry of the gradient is {largest:s}; the sum over 512 paths
    differs from it by at most {apart:s}.
    """
    data = digits()
    network = Trial(20, "A", 0).build(data)
    list(train(network, data, TrainConfig(epochs=8)))
    network.eval()
    images = data.normalize(data.train.images[:8])
    labels = data.train.labels[:8]
    tape = PathTape(network, images, labels)
    total = sum(
        tape.gradient({block for block in range(9) if mask >> block & 1})
        for mask in range(512)
    )
    leaf = images.clone().requires_grad_()
    loss = F.cross_entropy(network(leaf), labels, reduction="sum")
    (whole,) = torch.autograd.grad(loss, leaf)
    return {
        "largest": whole.abs().max().item(),
        "apart": (total - whole).abs().max().item(),
    }


class Dropping(PreActBasicBlock):
    def forward(self, x):
        keep = not self.training or torch.rand(()) > 1 / 3
        if keep or not self.downsample.is_identity:
            return super().forward(x)
        return x  # this step goes past the branch


def exercise_3(seed):
    """It comes nearer, and passes it. Forty sub-networks vote, each without a
    random half of the blocks that keep the shape (the first block is never
    cut); test error in percent:

    | pre-activation-20 | training error | whole network | one member, own | vote, own | vote, stored |
    |---|---|---|---|---|---|
    | as usual, 8 epochs | {usual_train:.1f} | {usual_intact:.1f} | {usual_member:.1f} | {usual_fresh:.1f} | {usual_stored:.1f} |
    | dropping, 8 epochs | {dropping_train:.1f} | {dropping_intact:.1f} | {dropping_member:.1f} | {dropping_fresh:.1f} | {dropping_stored:.1f} |
    | dropping, 24 epochs | {longer_train:.1f} | {longer_intact:.1f} | {longer_member:.1f} | {longer_fresh:.1f} | {longer_stored:.1f} |

    (*Own* and *stored* as in the page.) Trained with gaps, a typical
    sub-network works by itself, hardly worse than the vote. And now the
    *whole* is the odd one: it was never trained, for in each step a third was
    missing, and its sums are larger than those that the later blocks know.
    Stochastic depth therefore scales each branch by its share of steps at
    test time.
    """
    data, found = digits(), {}
    calibration = data.normalize(data.train.images[:512])
    for name, epochs in (("usual", 8), ("dropping", 8), ("longer", 24)):
        options = {"activation": "pre"}
        network = Trial(20, "A", seed, options=options).build(data)
        if name != "usual":
            for block in network.blocks:
                block.__class__ = Dropping
        torch.manual_seed(seed)
        *_, last = train(network, data, TrainConfig(epochs=epochs, seed=seed))
        network.eval()
        first = [i for i, b in enumerate(network.blocks) if i % 3 == 0]
        cuts = random_cuts(network, 40, spared=first, seed=seed)
        fresh = vote(network, data, data.test, cuts, calibration)
        stored = vote(network, data, data.test, cuts)
        found[f"{name}_train"] = last.train_error
        found[f"{name}_intact"] = evaluate(network, data, data.test)[1]
        found[f"{name}_member"] = np.median(fresh.members)
        found[f"{name}_fresh"] = fresh.together
        found[f"{name}_member_stored"] = np.median(stored.members)
        found[f"{name}_stored"] = stored.together
    return found


def exercise_4(seed):
    """The later ones, in both networks. Test error in percent with one block of
    residual-20 (intact: {residual_intact:.1f}) and of pre-activation-20
    (intact: {pre_intact:.1f}) applied twice and three times:

    | block | residual, twice | three times | pre-activation, twice | three times |
    |---|---|---|---|---|
    | 1 | {residual_1_2:.1f} | {residual_1_3:.1f} | {pre_1_2:.1f} | {pre_1_3:.1f} |
    | 2 | {residual_2_2:.1f} | {residual_2_3:.1f} | {pre_2_2:.1f} | {pre_2_3:.1f} |
    | 3 | {residual_3_2:.1f} | {residual_3_3:.1f} | {pre_3_2:.1f} | {pre_3_3:.1f} |
    | 5 | {residual_5_2:.1f} | {residual_5_3:.1f} | {pre_5_2:.1f} | {pre_5_3:.1f} |
    | 6 | {residual_6_2:.1f} | {residual_6_3:.1f} | {pre_6_2:.1f} | {pre_6_3:.1f} |
    | 8 | {residual_8_2:.1f} | {residual_8_3:.1f} | {pre_8_2:.1f} | {pre_8_3:.1f} |
    | 9 | {residual_9_2:.1f} | {residual_9_3:.1f} | {pre_9_2:.1f} | {pre_9_3:.1f} |

    From block 5 on a second and a third time cost little: such blocks refine
    what is there. The first blocks make something new out of their input, and
    cannot take their own output for it.
    """
    data, found = digits(), {}
    for name, activation in (("residual", "post"), ("pre", "pre")):
        options = {"activation": activation}
        network = Trial(20, "A", seed, options=options).build(data)
        list(train(network, data, TrainConfig(epochs=8, seed=seed)))
        network.eval()
        found[f"{name}_intact"] = evaluate(network, data, data.test)[1]
        for block in (0, 1, 2, 4, 5, 7, 8):
            for times in (2, 3):
                again = repeat_block(network, block, times)
                error = evaluate(again, data, data.test)[1]
                found[f"{name}_{block + 1}_{times}"] = error
    return found
