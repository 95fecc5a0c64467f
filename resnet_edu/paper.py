"""Figures of the papers that the book quotes, each with its table: pages take them from here, never by hand."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PaperFigure:
    """One printed number: its value, its unit, and where it stands (citation key and place).

    ``value`` is ``None`` where the paper prints "fail". ``secondary`` marks a number read in another source that
    quotes the paper.
    """

    value: float | None
    unit: str
    key: str
    place: str
    secondary: bool = False


def _table(key: str, place: str, cells: dict, unit: str, secondary: bool = False) -> dict:
    return {cell: PaperFigure(value, unit, key, place, secondary) for cell, value in cells.items()}


# Multiply-adds of one 224x224 image, in units of 10^9, by depth.
HE2015_TABLE_1 = _table("he2015", "Table 1", {18: 1.8, 34: 3.6, 50: 3.8, 101: 7.6, 152: 11.3}, "10⁹ multiply-adds")

# ImageNet validation, top-1 error, 10-crop, option A; (kind, depth).
HE2015_TABLE_2 = _table(
    "he2015",
    "Table 2",
    {("plain", 18): 27.94, ("plain", 34): 28.54, ("residual", 18): 27.88, ("residual", 34): 25.03},
    "% error",
)

# ImageNet validation, 10-crop; (network, "top-1" or "top-5"). 50, 101 and 152 use option B.
HE2015_TABLE_3 = _table(
    "he2015",
    "Table 3",
    {
        ("plain-34", "top-1"): 28.54, ("plain-34", "top-5"): 10.02,
        ("ResNet-34 A", "top-1"): 25.03, ("ResNet-34 A", "top-5"): 7.76,
        ("ResNet-34 B", "top-1"): 24.52, ("ResNet-34 B", "top-5"): 7.46,
        ("ResNet-34 C", "top-1"): 24.19, ("ResNet-34 C", "top-5"): 7.40,
        ("ResNet-50", "top-1"): 22.85, ("ResNet-50", "top-5"): 6.71,
        ("ResNet-101", "top-1"): 21.75, ("ResNet-101", "top-5"): 6.05,
        ("ResNet-152", "top-1"): 21.43, ("ResNet-152", "top-5"): 5.71,
    },
    "% error",
)  # fmt: skip

# ImageNet validation, single model; (network, "top-1" or "top-5").
HE2015_TABLE_4 = _table(
    "he2015",
    "Table 4",
    {
        ("ResNet-34 B", "top-1"): 21.84, ("ResNet-34 B", "top-5"): 5.71,
        ("ResNet-34 C", "top-1"): 21.53, ("ResNet-34 C", "top-5"): 5.60,
        ("ResNet-50", "top-1"): 20.74, ("ResNet-50", "top-5"): 5.25,
        ("ResNet-101", "top-1"): 19.87, ("ResNet-101", "top-5"): 4.60,
        ("ResNet-152", "top-1"): 19.38, ("ResNet-152", "top-5"): 4.49,
    },
    "% error",
)  # fmt: skip

# CIFAR-10 test error of residual networks by depth (110: best of five runs, mean 6.61, deviation 0.16).
HE2015_TABLE_6 = _table(
    "he2015", "Table 6", {20: 8.75, 32: 7.51, 44: 7.17, 56: 6.97, 110: 6.43, 1202: 7.93}, "% test error"
)

# The parameters of these networks, by depth.
HE2015_TABLE_6_PARAMETERS = _table(
    "he2015", "Table 6", {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85, 110: 1.7, 1202: 19.4}, "million parameters"
)

# CIFAR-10, ResNet-110 with other shortcuts, median of five runs; (mixing of resnet_edu.blocks, gate bias).
# ("C", None) is a 1x1 convolution on every shortcut: it helped 16 blocks (HE2015_TABLE_3) and hurts these 54.
HE2016_TABLE_1 = _table(
    "he2016",
    "Table 1",
    {
        ("add", None): 6.61,
        ("scaled-shortcut", None): None,
        ("scaled-both", None): 12.35,
        **{("exclusive-gating", bias): None for bias in (0, -1, -2, -3, -4, -5)},
        ("exclusive-gating", -6): 8.70,
        ("exclusive-gating", -7): 9.81,
        ("shortcut-gating", 0): 12.86,
        ("shortcut-gating", -6): 6.91,
        ("C", None): 12.22,
        ("dropout", None): None,
    },
    "% test error",
)

# CIFAR-10, where the activation stands; (order, depth).
HE2016_TABLE_2 = _table(
    "he2016",
    "Table 2",
    {
        ("original", 110): 6.61, ("original", 164): 5.93,
        ("BN after addition", 110): 8.17, ("BN after addition", 164): 6.50,
        ("ReLU before addition", 110): 7.84, ("ReLU before addition", 164): 6.14,
        ("ReLU-only pre-activation", 110): 6.71, ("ReLU-only pre-activation", 164): 5.91,
        ("full pre-activation", 110): 6.37, ("full pre-activation", 164): 5.46,
    },
    "% test error",
)  # fmt: skip

# Post- and pre-activation; (data set, network, "post" or "pre").
HE2016_TABLE_3 = _table(
    "he2016",
    "Table 3",
    {
        ("CIFAR-10", "ResNet-110 (1-layer skip)", "post"): 9.90, ("CIFAR-10", "ResNet-110 (1-layer skip)", "pre"): 8.91,
        ("CIFAR-10", "ResNet-110", "post"): 6.61, ("CIFAR-10", "ResNet-110", "pre"): 6.37,
        ("CIFAR-10", "ResNet-164", "post"): 5.93, ("CIFAR-10", "ResNet-164", "pre"): 5.46,
        ("CIFAR-10", "ResNet-1001", "post"): 7.61, ("CIFAR-10", "ResNet-1001", "pre"): 4.92,
        ("CIFAR-100", "ResNet-164", "post"): 25.16, ("CIFAR-100", "ResNet-164", "pre"): 24.33,
        ("CIFAR-100", "ResNet-1001", "post"): 27.82, ("CIFAR-100", "ResNet-1001", "pre"): 22.71,
    },
    "% test error",
)  # fmt: skip

# CIFAR-10 test error of the networks whose loss surfaces Li et al. 2018 draw; (network, with shortcuts).
# Wide ResNet-56-8 as WRN-56-8.
LI2018 = _table(
    "li2018",
    "networks of the loss surfaces",
    {
        ("ResNet-20", True): 7.37, ("ResNet-20", False): 8.18,
        ("ResNet-56", True): 5.89, ("ResNet-56", False): 13.31,
        ("ResNet-110", True): 5.79, ("ResNet-110", False): 16.44,
        ("WRN-56-8", True): 3.93, ("WRN-56-8", False): 8.70,
    },
    "% test error",
    secondary=True,
)  # fmt: skip

# ResNet-110 on CIFAR-10 as a collection of paths (Veit et al. 2016): how long the paths are that carry the
# gradient, and the error after training on those alone.
VEIT2016 = {
    **_table("veit2016", "quoted from the text", {"shortest path": 5, "longest path": 17}, "blocks", secondary=True),
    **_table("veit2016", "quoted from the text", {"share of all paths": 0.45}, "% of paths", secondary=True),
    **_table(
        "veit2016",
        "quoted from the text",
        {"trained on these paths only": 5.96, "whole network": 6.10},
        "% test error",
        secondary=True,
    ),
}

# torchvision's published weights, ImageNet validation, one crop; (network, weights).
TORCHVISION = _table(
    "torchvision",
    "documentation of the weights, 0.28",
    {
        ("ResNet-18", "V1"): 69.758,
        ("ResNet-34", "V1"): 73.314,
        ("ResNet-50", "V1"): 76.130, ("ResNet-50", "V2"): 80.858,
        ("ResNet-101", "V1"): 77.374, ("ResNet-101", "V2"): 81.886,
        ("ResNet-152", "V1"): 78.312, ("ResNet-152", "V2"): 82.284,
    },
    "% top-1 accuracy",
)  # fmt: skip

# CIFAR-10 test error (best epoch, chosen on the test set) of a much used PyTorch version of the paper's networks
# with option A, by depth.
IDELBAYEV2018 = _table("idelbayev2018", "README", {20: 8.27, 32: 7.37, 44: 6.90, 56: 6.61, 110: 6.32}, "% test error")

# The same code's ResNet-56, trained six times by somebody else (best epoch of each).
IDELBAYEV2018_RERUNS = _table(
    "bachlechner2020",
    "comment of 2020-03-27",
    {1: 7.4, 2: 7.29, 3: 7.4, 4: 6.89, 5: 8.42, 6: 7.95},
    "% test error",
)
