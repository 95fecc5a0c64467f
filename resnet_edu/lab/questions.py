"""Questions that ask the reader: read and checked from ``questions/CHAPTER.toml``, one readable file a chapter.

A file holds at most one ``[predict]`` (``Prediction``), asked before the chapter measures, and ``[[recall]]`` tables
(``Recall``). Text is Markdown; ``$x^2$`` is understood where it reads well without a renderer (``formula``).
``{name}`` stands for a number that the page fills in: measured there or taken from the run bank, never typed.

Answers are kept under a question's ``id``: it names the idea and stays; ``version`` rises when the question changes
its meaning, and it is asked anew.
"""

import functools
import hashlib
import html
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path

FOLDER = Path(__file__).parent / "questions"
# Chapters that may ask, in the book's order, with their titles (tests compare them with the book).
CHAPTERS = {
    "depth": "What depth buys",
    "degradation": "The degradation problem",
    "residual-block": "The residual block",
    "bottleneck": "The bottleneck",
    "architectures": "The architectures",
    "gradient-plus-one": 'The gradient and its "+1"',
    "signal-and-normalization": "Signal and normalisation",
    "identity-mappings": "Identity mappings",
    "many-paths": "Many paths",
    "loss-landscape": "The loss landscape",
    "lab": "The lab",
    "training-lab": "Training for real",
    "reproducing-the-paper": "Reproducing the paper",
    "pretrained": "Pretrained networks",
    "myths-and-bugs": "Myths and bugs",
}
REASONS = 3  # to choose from, at least

_ID = re.compile(r"[a-z0-9-]+/[a-z0-9-]+")
_GAP = re.compile(r"\{([a-z_]\w*)\}")


@dataclass(frozen=True)
class Option:
    """An answer to choose: whether it is ``right``, and ``why`` it is or is not."""

    text: str
    right: bool
    why: str

    @property
    def key(self) -> str:
        """A short name of the text, under which a choice is kept whatever the order."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:6]


@dataclass(frozen=True)
class Recall:
    """A question after the chapter: with options, or with a ``number``.

    A number is right within ``tolerance`` (absolute) or within a factor of ``ratio``; ``near`` lists common wrong
    numbers, each with why. ``answer`` is the whole answer. One that is ``alone`` is shown by itself at its place.
    """

    id: str
    text: str
    answer: str
    version: int = 1
    option: tuple = ()
    number: float | str | None = None
    tolerance: float | None = None
    ratio: float | None = None
    unit: str = ""
    near: tuple = ()
    alone: bool = False

    @property
    def gaps(self) -> frozenset[str]:
        """The names of the numbers that the page fills in."""
        return gaps(str(self.number), *texts(self))


@dataclass(frozen=True)
class Item:
    """One value of a guess: a number between ``min`` and ``max``, from ``start``, or one of the words ``choices``."""

    key: str
    label: str
    min: float | None = None
    max: float | None = None
    step: float | None = None
    start: float | None = None
    choices: tuple = ()


@dataclass(frozen=True)
class Prediction:
    """The question before the chapter measures, and the reasons to choose from once the guess was off.

    ``min``, ``max``, ``step`` and ``start`` hold for every item that has none of its own.
    """

    id: str
    text: str
    item: tuple
    reason: tuple
    unit: str = ""
    scale: str = "linear"
    version: int = 1
    min: float | None = None
    max: float | None = None
    step: float | None = None
    start: float | None = None

    @property
    def gaps(self) -> frozenset[str]:
        """The names of the numbers that the page fills in."""
        return gaps(*_texts(self.reason))


@dataclass(frozen=True)
class Chapter:
    """What one file asks."""

    name: str
    predict: Prediction | None
    recall: tuple[Recall, ...]


def gaps(*texts: str) -> frozenset[str]:
    """Return the names of all ``{name}`` in these texts."""
    return frozenset(name for text in texts for name in _GAP.findall(text))


def _texts(options: tuple) -> list[str]:
    return [text for one in options for text in (one.text, one.why)]


def texts(one: Recall | Prediction) -> list[str]:
    """Return every text of a question that a reader may see."""
    if isinstance(one, Prediction):
        return [one.text, *(item.label for item in one.item), *_texts(one.reason)]
    return [one.text, one.answer, *(why for _, why in one.near), *_texts(one.option)]


def _fits(value: object, hint: object) -> bool:
    if isinstance(value, bool):
        return hint is bool
    if hint is tuple:
        return isinstance(value, list)
    whole = isinstance(value, int) and hint not in (str, bool)  # 1 stands for 1.0
    return whole or isinstance(value, hint)


def _make(kind: type, table: object, where: str, **parts: type) -> object:
    """Return ``kind`` from a TOML table; ``parts`` are its lists of tables. Raises ``ValueError`` for what is wrong."""
    if not isinstance(table, dict):
        raise ValueError(f"{where}: must be a table of keys and values, got {table!r}")
    known = {field.name: field for field in fields(kind)}
    if unknown := [key for key in table if key not in known]:
        raise ValueError(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(known)}")
    if missing := [name for name, field in known.items() if field.default is MISSING and name not in table]:
        raise ValueError(f"{where}: the key {missing[0]!r} is missing")
    values = {}
    for key, value in table.items():
        hint = known[key].type
        if not _fits(value, hint) or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(f"{where}: {key} must be {getattr(hint, '__name__', hint)}, got {value!r}")
        if isinstance(value, list):
            part = parts.get(key)
            made = (_make(part, one, f"{where}, {key} {n}") for n, one in enumerate(value, 1)) if part else value
            value = tuple(made)
        values[key] = value
    return kind(**values)


def _check(wrong: object, where: str, words: str) -> None:
    if wrong:
        raise ValueError(f"{where}: {words}")


def _check_options(options: tuple, where: str, noun: str) -> None:
    texts = [one.text for one in options]
    _check(len(set(texts)) < len(texts), where, f"two {noun}s have the same text")
    for one in options:
        _check(not one.why.strip(), where, f"the {noun} {one.text!r} has no sentence in why")
    _check(not any(one.right for one in options), where, f"no {noun} is right; at least one must be")
    _check(all(one.right for one in options), where, f"no {noun} is wrong; at least one must be, with why")


def _check_recall(one: Recall, where: str) -> None:
    _check(bool(one.option) == (one.number is not None), where, "give either options or a number, and not both")
    if one.option:
        _check_options(one.option, where, "option")
        only = {"tolerance": one.tolerance, "ratio": one.ratio, "unit": one.unit or None, "near": one.near or None}
        given = [key for key, value in only.items() if value is not None]
        _check(given, where, f"{', '.join(given)} belongs to a number, and this question has options")
        return
    _check((one.tolerance is None) == (one.ratio is None), where, "a number needs either a tolerance or a ratio")
    _check(one.tolerance is not None and one.tolerance < 0, where, f"tolerance must be >= 0, got {one.tolerance}")
    _check(one.ratio is not None and one.ratio < 1, where, f"ratio must be >= 1, got {one.ratio}")
    named = isinstance(one.number, str) and not _GAP.fullmatch(one.number)
    _check(named, where, f'number must be a number or "{{name}}", got {one.number!r}')
    for pair in one.near:
        good = isinstance(pair, list) and len(pair) == 2 and _fits(pair[0], float) and isinstance(pair[1], str)
        _check(not good, where, f"near must list [number, why], got {pair!r}")


def _check_item(one: Item, where: str, scale: str) -> None:
    if one.choices:
        good = len(set(one.choices)) == len(one.choices) > 1 and all(isinstance(word, str) for word in one.choices)
        _check(not good, where, f"choices must be two or more different words, got {list(one.choices)}")
        _check(one.start is not None or one.min is not None, where, "give either choices, or min, max and start")
        return
    _check(None in (one.min, one.max, one.start), where, "give min, max and start, or choices")
    inside = one.min <= one.start <= one.max and one.min < one.max
    _check(not inside, where, f"start must lie between min and max, got {one.start} of {one.min} … {one.max}")
    _check(scale == "log" and one.min <= 0, where, f"min must be above 0 on a logarithmic scale, got {one.min}")
    step_missing = scale == "linear" and (one.step is None or one.step <= 0)
    _check(step_missing, where, f"step must be above 0, got {one.step}")


def _check_predict(one: Prediction, where: str) -> None:
    _check(one.scale not in ("linear", "log"), where, f"scale must be 'linear' or 'log', got {one.scale!r}")
    _check(not one.item, where, "give at least one item to guess")
    keys = [item.key for item in one.item]
    _check(len(set(keys)) < len(keys), where, f"two items have the same key: {keys}")
    for item in one.item:
        _check_item(item, f"{where}, item {item.key}", one.scale)
    early = sorted(gaps(one.text, *(item.label for item in one.item)))
    _check(early, where, f"text and labels stand where nothing is measured yet, so they have no gaps; got {early}")
    few = len(one.reason) < REASONS
    _check(few, where, f"give at least {REASONS} reasons to choose from, got {len(one.reason)}")
    _check_options(one.reason, where, "reason")


def _shared(table: object) -> object:
    """Return a table of a prediction whose items have what it gives for all of them."""
    if not isinstance(table, dict) or not isinstance(table.get("item"), list):
        return table
    common = {key: table[key] for key in ("min", "max", "step", "start") if key in table}
    whole = [isinstance(item, dict) and "choices" not in item for item in table["item"]]
    return {**table, "item": [common | one if ok else one for one, ok in zip(table["item"], whole, strict=True)]}


def parse(name: str, text: str) -> Chapter:
    """Return the questions of chapter ``name`` from a file's text.

    Raises ``ValueError`` that names the file, the question, what is wrong and what was expected.
    """
    file = f"questions/{name}.toml"
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{file} is no TOML: {error}") from error
    if unknown := sorted(table.keys() - {"predict", "recall"}):
        raise ValueError(f"{file}: unknown key {unknown[0]!r}; known are predict, recall")
    predict = None
    if "predict" in table:
        predict = _make(Prediction, _shared(table["predict"]), f"{file}, predict", item=Item, reason=Option)
        _check_predict(predict, f"{file}, {predict.id}")
    recalls = []
    for number, one in enumerate(table.get("recall", []), 1):
        where = f"{file}, {one['id'] if isinstance(one, dict) and 'id' in one else f'recall {number}'}"
        recalls.append(_make(Recall, one, where, option=Option))
        _check_recall(recalls[-1], where)
    _check_all([*([predict] if predict else []), *recalls], name, file)
    return Chapter(name, predict, tuple(recalls))


def _check_all(questions: list, name: str, file: str) -> None:
    """Check what every question has: an id of its own, a version, and text that can be shown."""
    seen = set()
    for one in questions:
        where = f"{file}, {one.id}"
        good = _ID.fullmatch(one.id) and one.id.startswith(f"{name}/")
        _check(not good, where, f"id must be '{name}/' and a name of small letters, digits and -, got {one.id!r}")
        _check(one.id in seen, where, "this id is used twice")
        _check(one.version < 1, where, f"version must be 1 or more, got {one.version}")
        seen.add(one.id)
        for text in texts(one):
            _check(not text.strip(), where, "a text is empty")
            try:
                markup(text)
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from error


@functools.cache
def read(name: str) -> Chapter:
    """Return the questions of a chapter. Raises ``ValueError`` for an unknown chapter and for a file with a fault."""
    from resnet_edu.blocks import choose

    path = FOLDER / f"{choose('chapter', name, tuple(CHAPTERS))}.toml"
    if not path.exists():
        known = ", ".join(sorted(one.stem for one in FOLDER.glob("*.toml")))
        raise ValueError(f"the chapter {name!r} has no questions (no file {path.name}); there are {known}")
    return parse(name, path.read_text(encoding="utf-8"))


def read_all() -> dict[str, Chapter]:
    """Return the questions of all chapters that have a file, in the book's order.

    Raises ``ValueError`` for a file that is no chapter's.
    """
    stray = sorted(one.stem for one in FOLDER.glob("*.toml") if one.stem not in CHAPTERS)
    if stray:
        raise ValueError(f"questions/{stray[0]}.toml belongs to no chapter; there are {', '.join(CHAPTERS)}")
    return {name: read(name) for name in CHAPTERS if (FOLDER / f"{name}.toml").exists()}


# Text as HTML

_SIGNS = dict(
    re.findall(
        r"(\w+) (\S)",
        "alpha α beta β gamma γ delta δ epsilon ε varepsilon ε theta θ lambda λ mu μ pi π rho ρ sigma σ tau τ phi φ "
        "Delta Δ Sigma Σ partial ∂ nabla ∇ sum ∑ prod ∏ cdot · times × pm ± le ≤ leq ≤ ge ≥ geq ≥ ne ≠ neq ≠ approx ≈ "
        "to → infty ∞ in ∈ ell ℓ odot ⊙ sqrt √ dots … ldots … cdots ⋯",
    )
) | {"log": "log", "ln": "ln", "max": "max", "min": "min"}
_TOKEN = re.compile(r"\\([A-Za-z]+)|\\([,;! ])|([\^_])|([{}])|([^\\^_{}])")


def formula(tex: str) -> str:
    """Return a small formula as HTML that needs no renderer: Unicode, ``<sup>`` and ``<sub>``.

    Raises ``ValueError`` for a command that this cannot show.
    """
    made, open_tags, wanted = [], [], None
    for command, space, raised, brace, plain in _TOKEN.findall(tex):
        if raised:
            wanted = "sup" if raised == "^" else "sub"
            continue
        if brace == "}":
            _check(not open_tags, f"${tex}$", "a } too many")
            made.append(open_tags.pop())
            continue
        if command and command not in _SIGNS:
            raise ValueError(f"${tex}$: \\{command} reads badly without a renderer; write the formula in plain signs")
        sign = _SIGNS[command] if command else " " if space else "−" if plain == "-" else html.escape(plain)
        if brace:
            group = made and made[-1] == "√"
            made.append(f"<{wanted}>" if wanted else "(" if group else "")
            open_tags.append(f"</{wanted}>" if wanted else ")" if group else "")
        else:
            made.append(f"<{wanted}>{sign}</{wanted}>" if wanted else sign)
        wanted = None
    _check(open_tags, f"${tex}$", "a } is missing")
    return "".join(made)


@functools.cache
def _markdown():
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False})


@functools.cache
def markup(text: str, block: bool = False) -> str:
    """Return Markdown as HTML, ``block`` with paragraphs; gaps ``{name}`` stay, and no HTML of the text gets through.

    A formula's source stands in ``data-tex``, for a page with a renderer. Raises ``ValueError`` for a formula that
    reads badly without.
    """
    found: list[str] = []

    def take(match: re.Match) -> str:
        if match[1]:
            return match[1]
        source = html.escape(match[2])
        found.append(f'<span class="math rl-tex" data-tex="{source}">{formula(match[2])}</span>')
        return f"\ue000{len(found) - 1}\ue001"

    marked = re.sub(r"(`+[^`]*`+)|\$([^$\n]+)\$", take, text)
    made = _markdown().render(marked) if block else _markdown().renderInline(marked)
    made = re.sub(r'href="([^":]+)\.(?:ipynb|md)(#[^"]*)?"', r'href="\1.html\2"', made)
    return re.sub("\ue000(\\d+)\ue001", lambda match: found[int(match[1])], made).strip()


_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def spoken(value: object) -> str:
    """Return a number as it is filled in: whole ones with separators, others with three significant digits."""
    if isinstance(value, str):
        return value
    number = float(value)
    if not math.isfinite(number):
        return "–"
    if number == int(number) and abs(number) < 1e15:
        return f"{int(number):,}"
    digits = 2 - math.floor(math.log10(abs(number)))
    if -4 < digits < 6:
        return f"{number:,.{max(0, digits)}f}"
    part, exponent = f"{number:.2e}".split("e")
    return f"{part}·10{str(int(exponent)).translate(_RAISED)}"


def fill(markup: str, numbers: Mapping[str, str]) -> str:
    """Return HTML with every ``{name}`` replaced by its number."""
    return _GAP.sub(lambda match: html.escape(numbers[match[1]]), markup)


def check_numbers(wanted: frozenset[str], given: Mapping[str, object], call: str) -> dict[str, str]:
    """Return ``given`` as text. Raises ``ValueError`` for a gap without a number, and for a number without a gap."""
    if missing := sorted(wanted - given.keys()):
        raise ValueError(f"{call} needs a number for {', '.join(missing)}: add {missing[0]}=…")
    if unused := sorted(given.keys() - wanted):
        names = f"has the gaps {', '.join(sorted(wanted))}" if wanted else "has no gaps"
        raise ValueError(f"{call}: no question has a gap {{{unused[0]}}}; this one {names}")
    return {name: spoken(value) for name, value in given.items()}
