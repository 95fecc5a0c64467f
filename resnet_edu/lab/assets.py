"""The lab's scripts and style, joined from the files in ``front/``: same sources, same bytes.

Joined here and not by a bundler, since ``pip install`` from the source, Colab and ``make book`` must do without
Node.js: no wheel holds esbuild or Rollup; Deno's (42 MB) fetches esbuild at its first ``bundle``; Bun's are unofficial
and hold a program of 107 MB. What is needed is little: every module becomes a function that returns its exports, so
that all other names stay its own.
"""

import functools
import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

FRONT = Path(__file__).parent / "front"
# Who may import from whom: arrows point down only.
STOREYS = {
    "vendor": (),
    "engine": (),
    "parts": ("vendor", "parts"),
    "instruments": ("parts",),
    "": ("parts", "instruments"),
}

# Instruments that only ask or look up: a notebook's output leaves out engine and digits, two thirds of its bytes.
WITHOUT_ENGINE = ("predict", "recall", "progress", "explorer")
READ_THE_BANK = ("recorded-results",)  # instruments that a notebook gives the bank, and not engine and digits
# Instruments whose parts are in the file that every page loads; the parts of all others are in a second one.
SHARED_BY = ("training", "race")
LEADS_TO = {"race": ("training",)}  # instruments that another one may put in its place

_IMPORT = re.compile(r'^import\s*(?:\{([^}]*)\}|\*\s*as\s+(\w+))\s*from\s*"([^"]+)";?[ \t]*\n?', re.MULTILINE)
_EXPORT = re.compile(r"^export\s+(?=(?:async\s+)?(?:const|let|class|function\*?)\s+(\w+))", re.MULTILINE)
_EXPORT_LIST = re.compile(r"\bexport\s*\{([^}]*)\};?(?!\s*from)")
_COMMENT = re.compile(r"^[ \t]*//[^\n]*\n|^[ \t]*/\*\*.*?\*/\n", re.MULTILINE | re.DOTALL)


class Module(NamedTuple):
    """One file of the front end: its ``code`` without imports and exports, what it needs and what it gives."""

    name: str
    code: str
    imports: tuple[tuple[str, str], ...]  # (pattern that takes the names, module)
    exports: dict[str, str]  # exported name: local name


def _pairs(text: str) -> list[list[str]]:
    """Split ``a, b as c`` into [[a], [b, c]]."""
    return [re.split(r"\s+as\s+", one.strip()) for one in text.split(",") if one.strip()]


def parse(name: str, text: str) -> Module:
    """Read a module; ``name`` is its path below ``front/`` without ``.mjs``.

    Only what the front end writes is understood: imports and exports of names, and ``import * as``. Raises
    ``ValueError`` for anything else, and for an import that leads to a higher storey.
    """
    imports = []
    for names, whole, path in _IMPORT.findall(text):
        target = (FRONT / name).parent.joinpath(path).resolve().relative_to(FRONT.resolve()).with_suffix("").as_posix()
        here, there = (one.partition("/")[0] if "/" in one else "" for one in (name, target))
        if there not in STOREYS[here] and not here == there:
            raise ValueError(f"{name}.mjs must not import {target}.mjs: {here or 'front'} may import {STOREYS[here]}")
        imports.append((whole or "{ " + ", ".join(": ".join(pair) for pair in _pairs(names)) + " }", target))
    code = _IMPORT.sub("", text)
    exports = {found: found for found in _EXPORT.findall(code)}
    for names in _EXPORT_LIST.findall(code):
        exports |= {pair[-1]: pair[0] for pair in _pairs(names)}
    code = _EXPORT_LIST.sub("", _EXPORT.sub("", code))
    if left := re.search(r"""^(?:import|export)\s*[\w{*"'].*""", code, re.MULTILINE):
        raise ValueError(f"{name}.mjs: only imports and exports of names can be joined, got: {left[0].strip()}")
    code = re.sub(r"^[ \t]+|[ \t]*\n(?=\n)", "", _COMMENT.sub("", code), flags=re.MULTILINE)
    return Module(name, code, tuple(imports), exports)


@functools.cache
def _read(name: str) -> Module:
    return parse(name, (FRONT / f"{name}.mjs").read_text(encoding="utf-8"))


def needed(names: Iterable[str]) -> list[str]:
    """Return the modules ``names`` and all that they import, needed ones first.

    Raises ``ValueError`` for a circle of imports.
    """
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise ValueError(f"these modules import each other in a circle: {' -> '.join((*path, name))}")
        if name not in order:
            for _, target in _read(name).imports:
                visit(target, (*path, name))
            order.append(name)

    for name in names:
        visit(name, ())
    return order


def modules(*storeys: str) -> list[str]:
    """Return the names of all modules of these storeys."""
    return sorted(f"{storey}/{path.stem}" for storey in storeys for path in (FRONT / storey).glob("*.mjs"))


def join(names: Iterable[str]) -> str:
    """Return the modules as statements that put each one's exports into ``M``, under its name, once."""
    text = []
    for module in map(_read, names):
        taken = "".join(f'const {pattern} = M["{target}"];\n' for pattern, target in module.imports)
        given = ", ".join(name if name == local else f"{name}: {local}" for name, local in module.exports.items())
        text.append(f'M["{module.name}"] ??= (() => {{\n{taken}{module.code}\nreturn {{ {given} }};\n}})();\n')
    return "".join(text)


@functools.cache
def version() -> str:
    """Return a short checksum of the front end; scripts of one version share their modules."""
    total = hashlib.sha256()
    for path in sorted(FRONT.rglob("*.mjs")):
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:12]


def _function(storey: str, exports: tuple[str, ...]) -> str:
    """Return a function expression that returns ``exports`` of a storey by name."""
    homes = {one: name for name in modules(storey) for one in _read(name).exports}
    if missing := [one for one in exports if one not in homes]:
        raise ValueError(f"no module of {storey}/ exports {missing[0]!r}; exported are {', '.join(sorted(homes))}")
    returned = ", ".join(f'{one}: M["{homes[one]}"].{one}' for one in exports)
    return f"function () {{\nconst M = {{}};\n{join(needed(homes[one] for one in exports))}return {{ {returned} }};\n}}"


def engine_script(exports: tuple[str, ...] = ("serve",)) -> str:
    """Return the engine as a JavaScript function expression that returns ``exports`` by name."""
    return _function("engine", exports)


def page_script(exports: tuple[str, ...]) -> str:
    """Return parts of the page as a function expression that returns ``exports`` by name."""
    return _function("parts", exports)


def _classic(body: str) -> str:
    """Return a script that shares its modules with the others of this version."""
    shared = f'const M = ((globalThis.resnetLab ??= {{}})["{version()}"] ??= {{}});'
    return f'(function () {{\n"use strict";\n{shared}\n{body}}})();\n'


def _instruments() -> list[str]:
    return [name.partition("/")[2] for name in modules("instruments")]


def _parts_of(*instruments: str) -> list[str]:
    """Return what mounts instruments, and the parts that these ones need."""
    names = needed(["parts/mount", *(f"instruments/{name}" for name in instruments)])
    return [name for name in names if not name.startswith("instruments/")]


def wants_more(name: str) -> bool:
    """Return whether an instrument needs parts that are not in ``shared_script``."""
    return not set(_parts_of(name)) <= set(_parts_of(*SHARED_BY))


def shared_script() -> str:
    """Return the script that every page with an instrument loads: what mounts them, and the parts of the lab itself."""
    wanting = json.dumps([name for name in _instruments() if wants_more(name)])
    start = (
        f'Object.assign(M["parts/mount"].shelf, {{ more: {wanting} }});\n'
        'M["parts/mount"].shelf.base ??= document.currentScript?.src || null;\nM["parts/mount"].mountAll();\n'
    )
    return _classic(join(_parts_of(*SHARED_BY)) + start)


def more_script() -> str:
    """Return the script with all further parts; it needs ``shared_script`` before it."""
    shared = _parts_of(*SHARED_BY)
    return _classic(join(name for name in needed(modules("parts")) if name not in shared))


def instrument_script(name: str) -> str:
    """Return the script of one instrument; it needs ``shared_script`` before it, or both if it ``wants_more``."""
    return _classic(_registered(name) + 'M["parts/mount"].mountAll();\n')


def _registered(name: str) -> str:
    (own,) = [one for one in needed([f"instruments/{name}"]) if one.startswith("instruments/")]
    return f'{join([own])}M["parts/mount"].shelf.instruments["{name}"] = M["{own}"];\n'


def _stocked() -> str:
    stock = f"engine: {engine_script()},\ndigits: {json.dumps(digits_data())},"
    return f'Object.assign(M["parts/mount"].shelf, {{\n{stock}\n}});\n'


def training_script() -> str:
    """Return what a page needs to train by itself: the engine, and the digits as data; it needs ``shared_script``."""
    return _classic(_stocked())


def bank_script() -> str:
    """Return the run bank as a script for the instruments that read it; it needs ``shared_script``."""
    return _classic(_banked())


def _banked() -> str:
    from resnet_edu.lab.records import bank_data

    text = json.dumps(bank_data(), separators=(",", ":"), ensure_ascii=False)
    return f'M["parts/mount"].shelf.bank = {text};\n'


def page_scripts() -> dict[str, str]:
    """Return the files that a page may load: the shared ones, one an instrument, the engine, and the run bank."""
    made = {f"lab-{name}.js": instrument_script(name) for name in _instruments()}
    stock = {"lab-engine.js": training_script(), "lab-bank.js": bank_script()}
    return {"lab.js": shared_script(), "lab-parts.js": more_script(), **made, **stock}


def inline(name: str) -> str:
    """Return the style, and the scripts of one instrument, as elements for a notebook's output, which stands alone.

    A page that loads the files itself drops them (``INLINE``).
    """
    names = [name, *LEADS_TO.get(name, ())]
    place = 'M["parts/mount"].shelf.notebook = true;\n'
    own = "".join(map(_registered, names))
    stock = _banked() if name in READ_THE_BANK else "" if name in WITHOUT_ENGINE else _stocked()
    body = f'{join(_parts_of(*names))}{place}{own}{stock}M["parts/mount"].mountAll();\n'
    text = re.sub(r"</(?=script|style)", r"<\\/", _classic(body))
    return f"<style {_MARK}>{style()}</style><script {_MARK}>{text}</script>"


_MARK = "data-resnet-lab"
INLINE = re.compile(rf"<(style|script) {_MARK}>.*?</\1>", re.DOTALL)


def bundle(*instruments: str, entry: str = "widget") -> str:
    """Return the front end as one ES module for anywidget (``{render}``, which ``entry`` exports).

    With ``instruments`` it holds these, engine and digits; without, what ``entry`` imports. Raises ``ValueError`` for
    an unknown instrument.
    """
    if unknown := [name for name in instruments if name not in _instruments()]:
        raise ValueError(f"there is no instrument {unknown[0]!r}; there are {', '.join(_instruments())}")
    parts = modules("parts") if instruments else []
    body = join(needed([*parts, entry])) + "".join(map(_registered, instruments)) + (_stocked() if instruments else "")
    return f'const M = {{}};\n{body}const {{ render }} = M["{entry}"];\nexport default {{ render }};\n'


def style() -> str:
    """Return the lab's style sheet."""
    return (FRONT / "lab.css").read_text(encoding="utf-8")


@functools.cache
def digits_data() -> dict:
    """Return the bundled digits as the engine reads them: 1,797 images of 8x8, the training set first.

    ``images`` are the pixels 0 … 16 (``packing``), ``labels`` a digit an image, ``train`` is the size of the training
    set, ``mean`` and ``std`` are its pixels'.
    """
    import torch

    from resnet_edu.datasets import digits
    from resnet_edu.lab.packing import pack_images

    data = digits()
    images = torch.cat([data.train.images, data.test.images]).flatten().tolist()
    labels = torch.cat([data.train.labels, data.test.labels]).tolist()
    return {
        "images": pack_images(images, 64),
        "labels": "".join(map(str, labels)),
        "train": len(data.train.labels),
        "mean": data.mean[0],
        "std": data.std[0],
    }
