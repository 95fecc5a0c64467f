"""Worked answers to the chapters' exercises, with what was run for them.

Each chapter has a module here (``degradation.py`` …; hyphens become
underscores). ``exercise_3`` answers its third exercise: the body is what was
run and returns numbers by name, the docstring is the text of the page, in which
``{name}`` or ``{name:.2f}`` stands for a number. With a parameter ``seed`` it
runs for several seeds (three; ``@seeds(5)`` says otherwise). A function without
a body is a hint: nothing was run for it.

``python -m resnet_edu.solutions`` runs what has no record, or was changed since.
``show`` puts text, code and numbers into a page, each folded.
"""

import ast
import datetime
import functools
import hashlib
import importlib
import inspect
import json
import math
import platform
import re
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from types import ModuleType

import numpy as np

from resnet_edu import __version__, runs
from resnet_edu.files import replacing

RECORDED = Path(__file__).parent / "recorded"
# A number's place in a text: no formula's brace, no role of MyST ({eq}`…`).
PLACE = re.compile(r"(?<![\w^_}\\])\{([a-z]\w*)(?::([^{}]*))?\}(?!`)")


def seeds(count: int) -> Callable:
    """Say for how many seeds an exercise is run."""

    def mark(function: Callable) -> Callable:
        function.seeds = count
        return function

    return mark


class Solution:
    """One exercise: its function in a chapter's module, and its record."""

    def __init__(self, chapter: str, function: Callable, module: ModuleType):
        self.chapter, self.function = chapter, function
        # Read once: a file that is edited while it runs must not lend its new
        # checksum to the old code's numbers.
        self._script = inspect.getsource(module)
        self.number = int(function.__name__.removeprefix("exercise_"))
        takes_seed = "seed" in inspect.signature(function).parameters
        self.seeds = getattr(function, "seeds", 3) if takes_seed else None

    @cached_property
    def _tree(self) -> ast.FunctionDef:
        name = self.function.__name__
        tree = ast.parse(self._script).body
        return next(n for n in tree if getattr(n, "name", None) == name)

    @property
    def is_hint(self) -> bool:
        """Whether nothing is run for it."""
        return len(self._tree.body) == 1

    @cached_property
    def source(self) -> str:
        """The code that is run, without the text, and the helpers it calls."""
        tree, found = ast.parse(self._script), {}
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[node.name] = node
        wanted, queue = [], [self.function.__name__]
        while queue:
            name = queue.pop()
            wanted.append(name)
            used = {
                n.id for n in ast.walk(found[name]) if isinstance(n, ast.Name)
            }
            queue += [n for n in found if n in used and n not in wanted + queue]
        lines = self._script.splitlines()
        return "\n\n\n".join(
            _without_text(found[name], lines)
            for name in found
            if name in wanted
        )

    @property
    def code(self) -> str:
        """A short checksum of what is run: another text does not change it."""
        imports = [
            n for n in ast.parse(self._script).body if isinstance(n, ast.Assign)
        ]
        text = ast.dump(ast.parse(self.source)) + "".join(
            map(ast.dump, imports)
        )
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def fits(self, record: Mapping) -> bool:
        """Whether a record is of what is run now."""
        return record["code"] == self.code and record["seeds"] == self.seeds

    def run(self) -> dict:
        """Run it and return its record. Takes up to a few minutes, on one thread."""
        from resnet_edu.training import cpu_threads

        started, clock = (
            datetime.datetime.now(datetime.UTC),
            time.perf_counter(),
        )
        with cpu_threads(1):
            found = (
                [self.function(seed) for seed in range(self.seeds)]
                if self.seeds
                else [self.function()]
            )
        numbers = {
            name: [_plain(one[name]) for one in found] for name in found[0]
        }
        import torch

        return {
            "code": self.code,
            "seeds": self.seeds,
            "numbers": numbers,
            "versions": {
                "python": platform.python_version(),
                "torch": torch.__version__,
                "resnet_edu": __version__,
            },
            "device": f"CPU ({platform.machine()}, one thread)",
            "started": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "seconds": round(time.perf_counter() - clock, 1),
            "command": f"python -m resnet_edu.solutions {self.chapter} {self.number}",
        }

    def problems(self, record: Mapping | None) -> list[str]:
        """Return what is wrong between the script, its record and its text, a line each."""
        name = f"{self.chapter}, exercise {self.number}"
        places = {
            match[1] for match in PLACE.finditer(self.function.__doc__ or "")
        }
        if self.is_hint:
            return (
                [
                    f"{name} is a hint and quotes numbers: {', '.join(sorted(places))}"
                ]
                if places
                else []
            )
        again = (
            f"run: python -m resnet_edu.solutions {self.chapter} {self.number}"
        )
        if record is None:
            return [f"{name} is not recorded; {again}"]
        lines = []
        if not self.fits(record):
            lines.append(f"{name} was changed after it was recorded; {again}")
        if unknown := places - set(record["numbers"]):
            lines.append(
                f"{name} quotes {', '.join(sorted(unknown))}, which its code does not return"
            )
        return lines

    def text(self, record: Mapping | None) -> str:
        """Return the answer as Markdown, its numbers filled in."""

        def number(match: re.Match) -> str:
            values = record["numbers"][match[1]]
            return _number(values, match[2] or "")

        return PLACE.sub(number, inspect.getdoc(self.function))


@functools.cache
def load(chapter: str) -> list[Solution]:
    """Return a chapter's solutions in order. Raises ``ValueError`` for a chapter that has none."""
    try:
        module = importlib.import_module(
            f"{__name__}.{chapter.replace('-', '_')}"
        )
    except ModuleNotFoundError:
        raise ValueError(
            f"no chapter {chapter!r} has solutions; there are: {', '.join(chapters())}"
        ) from None
    found = [
        Solution(chapter, one, module)
        for name, one in vars(module).items()
        if name.startswith("exercise_") and callable(one)
    ]
    return sorted(found, key=lambda one: one.number)


def chapters() -> list[str]:
    """Return the names of the chapters that have solutions."""
    files = Path(__file__).parent.glob("[a-z]*.py")
    return sorted(file.stem.replace("_", "-") for file in files)


def records(chapter: str) -> dict[str, dict]:
    """Return a chapter's records by the exercise's number."""
    file = RECORDED / f"{chapter}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def record(solution: Solution) -> dict:
    """Run a solution, keep its record and return it."""
    made = solution.run()
    kept = records(solution.chapter) | {str(solution.number): made}
    kept = {number: kept[number] for number in sorted(kept, key=int)}
    text = json.dumps(kept, indent=1, ensure_ascii=False) + "\n"
    with replacing(RECORDED / f"{solution.chapter}.json") as file:
        file.write(text.encode())
    return made


def show(chapter: str) -> None:
    """Show a chapter's solutions in a page, each folded: text, what was run, and where the numbers are from.

    Raises ``ValueError`` for a chapter that has none, ``LookupError`` if one has not been run.
    """
    from IPython.display import Markdown, display

    found = records(chapter)
    display(
        Markdown(
            "\n\n".join(
                fold(one, found.get(str(one.number))) for one in load(chapter)
            )
        )
    )


def fold(solution: Solution, record: Mapping | None) -> str:
    """Return one solution as a fold of Markdown."""
    kind = "Hint" if solution.is_hint else "Solution"
    if record is None and not solution.is_hint:
        raise LookupError(solution.problems(None)[0])
    parts = [
        f"<details><summary>{kind} for exercise {solution.number}</summary>"
    ]
    parts.append(solution.text(record).replace(" %", "\u00a0%"))
    if not solution.is_hint:
        parts += [
            f"```python\n{solution.source}\n```",
            _origin(solution, record),
        ]
    return "\n\n".join([*parts, "</details>"])


def _origin(solution: Solution, record: Mapping) -> str:
    count = record["seeds"]
    spread = (
        f"Mean ± standard deviation of {count} seeds, or median (lowest to highest) where they scatter. "
        if count
        else ""
    )
    return (
        f"{spread}Recorded {record['started'][:10]} on {record['device']}, PyTorch {record['versions']['torch']}, "
        f"{record['seconds']:.0f} s: `{record['command']}` (imports and all: "
        f"`resnet_edu/solutions/{solution.chapter.replace('-', '_')}.py`)."
    )


def _number(values: list, digits: str) -> str:
    """Return a number over its seeds as text; ``None`` is a run that diverged. A string or a count stands as it is."""
    if any(isinstance(value, str) for value in values):
        return (
            str(values[0])
            if len(set(values)) == 1
            else ", ".join(map(str, values))
        )
    if digits == "each":
        return ", ".join(
            "diverged" if v is None else f"{v:.1f}" for v in values
        )
    kept = np.array(
        [value for value in values if value is not None], dtype=float
    )
    lost = len(values) - len(kept)
    if not len(kept):
        return f"no number ({'all' if lost > 1 else 'it'} diverged)"
    if len(set(kept)) == 1 and len(kept) > 1:
        kept = kept[:1]  # the same for every seed: no spread
    if digits == "n":
        text = f"{kept.mean():,.0f}"
    elif digits == "s":
        text = runs.short(kept[0]) if len(kept) == 1 else _range(kept)
    elif len(kept) == 1 and not digits:
        text = (
            f"{kept[0]:,}" if kept[0] != int(kept[0]) else f"{int(kept[0]):,}"
        )
    else:
        text = runs.outcome(kept, digits or ".1f")
    return text + (f" ({lost} of {len(values)} diverged)" if lost else "")


def _range(values: np.ndarray) -> str:
    return f"{runs.short(np.median(values))} ({runs.short(values.min())} to {runs.short(values.max())})"


def _plain(value: object) -> object:
    if isinstance(value, str):
        return value
    value = float(value)
    if not math.isfinite(value):
        return None
    return (
        int(value)
        if value == int(value) and abs(value) < 1e15
        else float(f"{value:.6g}")
    )


def _without_text(
    node: ast.FunctionDef | ast.ClassDef, lines: list[str]
) -> str:
    first = node.body[0]
    start = node.lineno - 1
    if (
        not (
            isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
        )
        or len(node.body) == 1
    ):
        return "\n".join(lines[start : node.end_lineno])
    return "\n".join(
        lines[start : first.lineno - 1]
        + lines[first.end_lineno : node.end_lineno]
    )
