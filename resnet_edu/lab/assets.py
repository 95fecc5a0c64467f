"""The lab's scripts and style, joined from the files in ``front/``: same sources, same bytes."""

import json
import re
from pathlib import Path

FRONT = Path(__file__).parent / "front"
ENGINE = (  # in the order in which they need each other; the page's end of the line, client.mjs, stands alone
    *("engine/assembler", "engine/plain", "engine/kernels", "engine/random", "engine/layers", "engine/heads"),
    *("engine/net", "engine/data", "engine/sizes", "engine/surgery", "engine/weights", "engine/singular"),
    *("engine/training", "engine/probes", "engine/landscape", "engine/questions", "engine/worker"),
)
PAGE = ("elements", "state", "record", "sources", "views", "lab")
CARDS = ("elements", "cards")


def _join(names: tuple[str, ...]) -> str:
    """Return the modules as one piece of script: no imports, no exports, no comment lines, no indentation.

    Every top-level name is then shared, so it must be unique; a clash is a syntax error that any test meets.
    """
    text = "\n".join((FRONT / f"{name}.mjs").read_text(encoding="utf-8") for name in names)
    text = re.sub(r"^import\b[^;]*;\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^export (?=const|function|class)", "", text, flags=re.MULTILINE)
    text = re.sub(r"^[ \t]*//.*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^[ \t]*/\*\*.*?\*/\n", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^[ \t]+|[ \t]*\n(?=\n)", "", text, flags=re.MULTILINE)


def engine_script(exports: tuple[str, ...] = ("serve",)) -> str:
    """Return the engine as a JavaScript function expression that returns ``exports`` by name."""
    return f"function () {{\n{_join(ENGINE)}return {{ {', '.join(exports)} }};\n}}"


def page_script(exports: tuple[str, ...]) -> str:
    """Return the page's part, without its start, as a function expression that returns ``exports`` by name."""
    return f"function () {{\n{_join(PAGE)}return {{ {', '.join(exports)} }};\n}}"


def bundle(form: str = "module") -> str:
    """Return the front end as one script.

    ``"module"`` is an ES module for anywidget (``export default {render}``) with the engine inside; ``"classic"`` a
    script that mounts the islands of a page, also of one opened from disk, where browsers load no modules. A page
    loads ``training_script`` before it. Raises ``ValueError`` for another form.
    """
    if form == "module":
        return f"const engine = {engine_script()};\n{_join((*PAGE, 'widget'))}export default {{ render }};\n"
    if form == "classic":
        body = f"const {{ engine }} = resnetLab;\n{_join((*PAGE, 'page'))}mountIslands();"
        return f'(function () {{\n"use strict";\n{body}\n}})();\n'
    raise ValueError(f"form must be 'module' (for anywidget) or 'classic' (for a page), got {form!r}")


def training_script() -> str:
    """Return what a page needs to train by itself: the engine, and the digits as data."""
    return f"globalThis.resnetLab = {{\nengine: {engine_script()},\ndigits: {json.dumps(digits_data())},\n}};\n"


def cards_script() -> str:
    """Return the classic script that mounts the cards of a page (``resnet_edu.lab.cards``)."""
    return f'(function () {{\n"use strict";\n{_join(CARDS)}mountCards();\n}})();\n'


def style() -> str:
    """Return the lab's style sheet."""
    return (FRONT / "lab.css").read_text(encoding="utf-8")


def digits_data() -> dict:
    """Return the bundled digits as the engine reads them: 1,797 images of 8x8, the training set first.

    ``images`` has a character a pixel (``"a"`` is 0, ``"q"`` is 16), ``labels`` a digit an image, ``train`` is the
    size of the training set, ``mean`` and ``std`` are its pixels'.
    """
    import torch

    from resnet_edu.datasets import digits

    data = digits()
    images = torch.cat([data.train.images, data.test.images]).flatten().tolist()
    labels = torch.cat([data.train.labels, data.test.labels]).tolist()
    return {
        "images": "".join(chr(ord("a") + value) for value in images),
        "labels": "".join(map(str, labels)),
        "train": len(data.train.labels),
        "mean": data.mean[0],
        "std": data.std[0],
    }
