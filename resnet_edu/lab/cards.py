"""The block designer and the gradient explorer as HTML for a page without a kernel."""

from resnet_edu.blocks import choose
from resnet_edu.lab.island import data_script

KINDS = ("designer", "explorer")


class Card:
    """A card that a notebook shows as its last expression; ``str`` of it is the HTML (``front/cards.mjs`` mounts it).

    Without JavaScript a table or figure stands in its place. Raises ``ValueError`` for an unknown kind.
    """

    def __init__(self, kind: str):
        still, data = {"designer": _designer, "explorer": _explorer}[choose("card", kind, KINDS)]()
        self.html = (
            f'<div class="resnet-card" data-card="{kind}"><div class="resnet-card-still">{still}</div>'
            f"{data_script(data)}</div>"
        )

    def __str__(self) -> str:
        return self.html

    def _repr_html_(self) -> str:
        return self.html


def _designer() -> tuple[str, dict]:
    from resnet_edu.figures import Table
    from resnet_edu.lab.designer import BlockCost, load_costs, rows

    data = load_costs()
    costs = [BlockCost(**one) for one in data["costs"]]

    def find(block: str, channels: int) -> BlockCost:
        wanted = (block, channels, "A", 1)
        return next(one for one in costs if (one.block, one.channels, one.shortcut, one.stride) == wanted)

    caption = f"Two blocks of 28×28 maps, one image; times: {data['device']}, {data['date']}."
    table = Table(("cost", "basic", "bottleneck"), rows(find("basic", 64), find("bottleneck", 256)), caption)
    return table._repr_html_(), data


def _explorer() -> tuple[str, dict]:
    from resnet_edu.lab.explorer import STEPS, Spectrum, figure, load_spectra, title

    data = load_spectra()
    chosen = {"depth": 20, "shortcut": "A", "normalization": "batch", "activation": "post"}
    run = next(run for run in data["runs"] if all(run[key] == value for key, value in chosen.items()))
    found = [Spectrum(**one) for one in run["spectra"]]
    return figure(found, title(chosen))._repr_html_(), {**data, "steps": STEPS}
