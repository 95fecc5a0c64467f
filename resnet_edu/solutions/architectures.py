"""The architectures: solutions."""

import torch
from torch import nn
from torch.nn import functional as F

from resnet_edu import accounting, networks


class MyBasicBlock(nn.Module):
    def __init__(self, c_in, c, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c)
        self.conv2 = nn.Conv2d(c, c, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c)
        self.downsample = nn.Sequential()  # empty: the identity
        if stride != 1 or c_in != c:
            projection = nn.Conv2d(c_in, c, 1, stride, bias=False)
            self.downsample.extend([projection, nn.BatchNorm2d(c)])

    def forward(self, x):  # (N, c_in, H, W) -> (N, c, H/stride, W/stride)
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class MyResNet34(nn.Sequential):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(64), nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        c_in = 64
        for stage, n in enumerate((3, 4, 6, 3)):
            c = 64 * 2**stage
            first = MyBasicBlock(c_in, c, stride=2 if stage else 1)
            rest = (MyBasicBlock(c, c) for _ in range(n - 1))
            self.add_module(f"layer{stage + 1}", nn.Sequential(first, *rest))
            c_in = c
        self.avgpool, self.flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten()
        self.fc = nn.Linear(c_in, 1000)


def exercise_1():
    """Gone are {gone}: the third convolution with its normalisation from every
    block, and the projection from the first block of the first stage, whose
    64 channels fit. With weights that tell all layers apart, the logits of
    this network and of torchvision's differ by {apart} relative to the
    largest; each has {parameters:n} parameters.
    """
    from torchvision.models import resnet34, resnet50

    torch.manual_seed(0)
    theirs, mine = resnet34(weights=None).eval(), MyResNet34().eval()
    for module in theirs.modules():  # no two normalisations alike
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_mean, module.bias.data):
                values.normal_(0, 0.1)
            for values in (module.running_var, module.weight.data):
                values.uniform_(0.5, 1.5)
    mine.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        wanted, found = theirs(images), mine(images)
    gone = {
        name.split(".", 2)[-1].split(".")[0]
        for name in resnet50().state_dict()
        if name.startswith("layer") and name not in theirs.state_dict()
    }
    first = "layer1.0.downsample.0.weight"
    return {
        "apart": ((found - wanted).abs().max() / wanted.abs().max()).item(),
        "gone": ", ".join(f"`{name}`" for name in sorted(gone)),
        "first": "no" if first not in theirs.state_dict() else "a",
        "parameters": accounting.parameter_count(mine),
    }


def exercise_2():
    """The stem makes {stem} of 225, for (225 + 6 − 7)/2 = 112, plus 1; the
    pooling {conv2_x}, and the stages keep or halve it, rounding up:
    {conv2_x}, {conv3_x}, {conv4_x}, {conv5_x}. An image of 224 pixels gives
    112, 56, 28, 14 and 7: one pixel more at the input is one more in each
    map.
    """
    with torch.device("meta"):
        network = networks.resnet18().eval()
        _, outputs = network(torch.empty(1, 3, 225, 225), return_stages=True)
    sides = {name: y.shape[-1] for name, y in outputs.items()}
    return {"stem": sides.pop("conv1")} | sides


def exercise_3():
    """With option A it has {option_a:n} parameters, exactly as many as the plain
    twin. Option B has {option_b:n}, which is {more:n} more: three projections
    with C · 2C weights and a scale and a shift for each of 2C channels, for C
    = 64, 128 and 256, make {expected:n}.
    """
    with torch.device("meta"):
        count = {
            kind: accounting.parameter_count(
                networks.imagenet_resnet(34, shortcut=kind)
            )
            for kind in ("none", "A", "B")
        }
    expected = sum(2 * c * c + 2 * 2 * c for c in (64, 128, 256))
    return {
        "plain": count["none"],
        "option_a": count["A"],
        "option_b": count["B"],
        "more": count["B"] - count["A"],
        "expected": expected,
    }


def exercise_4():
    """`networks.pretrained("resnet50", weights="V2")` fetches the weights once.
    Load its `state_dict()` into your network, put it into evaluation mode,
    and give it `trained.transforms(photograph)[None]`; `trained.categories`
    has the names. Expect the same five classes from both networks, with
    logits that agree to rounding. If they do not, compare them stage by
    stage, with weights that tell all layers apart, as in the page. (It takes
    a connection, so no result stands here.)
    """
