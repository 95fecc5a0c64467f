"""The instruments that measure untrained networks: what stands there without JavaScript, and their data.

Sizes along the layers, forwards and backwards; their shared part is ``front/parts/sizes.mjs``.
"""


def _table(head: tuple[str, ...], rows: list[tuple], caption: str, does: str) -> str:
    """Return a table as HTML whose caption says what the instrument does in its place."""
    from resnet_edu.figures import Table

    return Table(head, rows, f"{caption} With JavaScript, this table is an instrument: {does}")._repr_html_()


def _number(value: float) -> str:
    from resnet_edu.figures.signals import number

    return number(value)


def depth(id: str = "depth"):
    """Keep a signal alive through a chain of layers: the scale of the first weights, batch normalisation, the depth."""
    starts = {"s = 0.01": 0.01 / (2 / 144) ** 0.5, "s² = 1/n": 0.5**0.5, "10 % less": 0.9, "He": 1.0, "10 % more": 1.1}
    rows = [
        (name, f"{scale:.3f}", *(_number(scale**power) for power in (30, 60, 110))) for name, scale in starts.items()
    ]
    still = _table(
        ("first weights", "times He's rule", "size, 30 layers", "mean square, 30 layers", "size, 110 layers"),
        rows,
        "What the formula leaves of a signal of size 1, forwards, and of a gradient, backwards, without normalisation "
        "(16 channels, no border).",
        "a chain of 8 to 110 layers is measured in the page.",
    )
    return still, {"id": id}


def signal_and_normalization(id: str = "signal-and-normalization"):
    """Scale all branches of a network of 56 layers, watch the signal's size from block to block, and train it."""
    alphas = (1, 0.5, 0.3, 0.2, 0.1)
    rows = [(str(alpha), *(_number((1 + alpha**2) ** blocks) for blocks in (9, 18, 27))) for alpha in alphas]
    still = _table(
        ("α", "9 blocks", "18 blocks", "27 blocks"),
        rows,
        "By how much the mean square grows through x + α F(x) without normalisation, if F keeps the size: (1 + α²)^l.",
        "a network of 56 layers is measured, and trained, in the page.",
    )
    return still, {"id": id}


def gradient_plus_one(id: str = "gradient-plus-one"):
    """Guess how gradients change with depth, cut shortcuts, slide a branch's gain, see the chain's singular values."""
    import numpy as np

    from resnet_edu import runs

    recorded = runs.load("new-networks").select(normalization="batch")
    rows = []
    for kind, name in (("none", "plain"), ("A", "residual")):
        for layers in (8, 20):  # the page asks for a guess about 56 before it tells
            cell = recorded.select(depth=layers, shortcut=kind, activation="post")
            values = cell.last("gradients.ratio").values
            spread = f"{_number(min(values))} to {_number(max(values))}"
            rows.append((f"{name}-{layers}", _number(float(np.median(values))), spread, len(values)))
    still = _table(
        ("network", "gradient, second / last", "lowest to highest", "seeds"),
        rows,
        "New networks with batch normalisation: norm of the second convolution's gradient divided by the last one's, "
        "median. What do you expect of 56 layers?",
        "shortcuts can be cut one by one, and gradients and singular values are measured in the page.",
    )
    return still, {"id": id}


def identity_mappings(id: str = "identity-mappings"):
    """Scale all shortcuts by one factor, move batch normalisation and ReLU into five orders, and train them."""
    from resnet_edu import paper
    from resnet_edu.figures.orders import NAMES

    printed = {
        order: [f"{paper.HE2016_TABLE_2[name, layers].value:.2f}" for layers in (110, 164)]
        for order, name in NAMES.items()
    }
    rows = [(NAMES[order], *values) for order, values in printed.items()]
    leak = ", ".join(f"{value}: {_number(value**26)}" for value in (0.9, 0.8, 0.5))
    still = _table(
        ("order", "110 layers", "164 layers"),
        rows,
        "Test error (%) of the five orders on CIFAR-10, He et al. 2016, Table 2. A factor on every shortcut leaves "
        f"this of the direct path from block 27 back to block 1: {leak}.",
        "batch norm and ReLU can be dragged, the shortcuts be scaled, and both be measured and trained.",
    )
    return still, {"id": id, "names": dict(NAMES), "paper": printed}
