"""Run an assignment with many sets of answers, fast: right ones in other styles, and known wrong ones.

``mutants/<assignment>/right/*.py`` hold whole answers, a cell each after ``# %% grade_id``.
``mutants/<assignment>/wrong.toml`` lists mistakes, each an edit of the solution (``old`` to ``new``) or a new answer
(``code``) in one ``cell``, with the tests that ``loses`` points and what the message of the first of them ``says``.
Each sentence that a test can say is said to one of them: a check that nothing reaches helps nobody.

The notebook runs once. Before each answer cell the process forks for every variant that begins there, so a network
that a notebook trains is trained once, and no variant sees what another one did. Tests that name nothing of what a
variant defines are left out.
"""

import ast
import gc
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "course" / "source"
MUTANTS = Path(__file__).parent / "mutants"
SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n.*?### END SOLUTION", re.M | re.S)
HIDDEN = re.compile(r"^### BEGIN HIDDEN TESTS\n.*?### END HIDDEN TESTS\n?", re.M | re.S)
DEFINES = re.compile(r"^(def |class |import |from |\w+ = )", re.M)
TEST_LIMIT = 60  # seconds that a cell may take


@dataclass(frozen=True)
class Wrong:
    """A known mistake: the answers that make it, the tests that must lose their points, what the message must say."""

    mistake: str
    answers: dict[str, str]
    loses: list[str]
    says: str


def assignments() -> list[str]:
    return sorted(path.parent.name for path in SOURCE.glob("*/*.ipynb"))


def cells(name: str) -> list:
    return nbformat.read(SOURCE / name / f"{name}.ipynb", as_version=4).cells


def metadata(cell) -> dict:
    return cell.metadata.get("nbgrader", {})


def tests(name: str) -> list[str]:
    return [cell.id for cell in cells(name) if cell.cell_type == "code" and metadata(cell).get("grade")]


def solutions(name: str) -> dict[str, str]:
    return {c.id: c.source for c in cells(name) if c.cell_type == "code" and metadata(c).get("solution")}


def stubs(name: str) -> dict[str, str]:
    """Return the answer cells as students get them."""
    stub = r"\1# YOUR CODE HERE\n\1raise NotImplementedError()"
    return {cell: SOLUTION.sub(stub, source) for cell, source in solutions(name).items()}


def right(name: str) -> dict[str, dict[str, str]]:
    """Return the right answers by the name of their file; a cell that a file leaves out keeps the solution."""
    found = {}
    for path in sorted((MUTANTS / name / "right").glob("*.py")):
        _, *parts = re.split(r"^# %% (\w+)\n", path.read_text(), flags=re.M)
        found[path.stem] = dict(zip(parts[::2], parts[1::2], strict=True))
        unknown = set(found[path.stem]) - set(solutions(name))
        assert not unknown, f"{path} answers cells that {name} does not have: {unknown}"
    return found


def wrong(name: str) -> list[Wrong]:
    known, answers = [], solutions(name)
    for entry in tomllib.loads((MUTANTS / name / "wrong.toml").read_text())["wrong"]:
        source, cell = answers[entry["cell"]], entry["cell"]
        if "code" in entry:
            changed = entry["code"]
        else:
            count = source.count(entry["old"])
            assert count == 1, f"{name}, {entry['mistake']!r}: 'old' stands {count} times in {cell}, must be once"
            changed = source.replace(entry["old"], entry["new"])
        unknown = set(entry["loses"]) - set(tests(name))
        assert not unknown, f"{name}, {entry['mistake']!r}: there are no tests {unknown}"
        known.append(Wrong(entry["mistake"], {cell: changed}, entry["loses"], entry["says"]))
    assert len({each.mistake for each in known}) == len(known), f"{name}: a mistake is listed twice"
    return known


def sentences(name: str) -> list[tuple[str, re.Pattern]]:
    """Return what each test can say, by its cell: the texts of its assertions, with gaps where values stand."""
    found = []
    for cell in tests(name):
        (source,) = (each.source for each in cells(name) if each.id == cell)
        nodes = list(ast.walk(ast.parse(source)))
        tables = {node.targets[0].id: node.value for node in nodes
                  if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)}  # fmt: skip
        texts = [node.msg for node in nodes if isinstance(node, ast.Assert)]
        texts += [node.args[0] for node in nodes if isinstance(node, ast.Call) and _is(node.func, "AssertionError")]
        if any(isinstance(text, ast.Name) for text in texts):  # one assertion for all of a table's sentences
            texts = [text for text in texts if not isinstance(text, ast.Name)] + tables["mistakes"].keys
        found += [(cell, re.compile(_pattern(text), re.S)) for text in texts]
    return found


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _pattern(text: ast.expr | None) -> str:
    parts = text.values if isinstance(text, ast.JoinedStr) else [text]
    return "".join(re.escape(part.value) if isinstance(part, ast.Constant) else ".*" for part in parts if part)


@cache
def run_all(name: str) -> dict[str, dict]:
    """Return the messages of all cells that fail, by variant and cell: ``solution``, ``stub``, right and wrong ones."""
    variants = {"solution": {}, "stub": stubs(name), **right(name), **{w.mistake: w.answers for w in wrong(name)}}
    job = json.dumps({"name": name, "variants": variants})
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, __file__], input=job, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def _main() -> None:
    from IPython.core.inputtransformer2 import TransformerManager

    job = json.load(sys.stdin)
    code = [cell for cell in cells(job["name"]) if cell.cell_type == "code"]
    sources = {cell.id: cell.source for cell in code}
    transform = TransformerManager().transform_cell  # the install cell has a %pip, which is not reached
    for module in ("torch", "torch._dynamo", "resnet_edu.accounting", "resnet_edu.interventions"):
        importlib.import_module(module)  # once, before the forks
    gc.freeze()
    signal.signal(signal.SIGALRM, _too_long)
    out, sys.stdout = sys.stdout, open(os.devnull, "w")  # noqa: SIM115  what the notebooks print
    namespace, failed, results = {"__name__": "__main__"}, {}, {}
    order = list(sources)
    for place, cell in enumerate(order):
        for variant, answers in job["variants"].items():
            if answers and min(map(order.index, answers)) == place:
                rest = order[place:] if variant == "stub" else _concerned(order[place:-1], sources | answers, answers)
                results[variant] = _in_fork(partial(_run, rest, sources | answers, namespace, dict(failed), transform))
        failed = _run([cell], sources, namespace, failed, transform)
    results["solution"] = failed
    print(json.dumps(results), file=out)


def _concerned(order: list[str], sources: dict, answers: dict) -> list[str]:
    """Leave out tests that name nothing of what the answers define, and cells that define nothing."""
    seen, rest = set(), []
    for cell in order:
        touched = cell in answers or seen & set(re.findall(r"\w+", sources[cell]))
        if touched:
            seen |= set(re.findall(r"^(?:def|class) (\w+)", sources[cell], re.M))
        if touched if cell.startswith("test_") else DEFINES.search(sources[cell]):
            rest.append(cell)
    return rest


def _run(order: list[str], sources: dict, namespace: dict, failed: dict, transform) -> dict[str, str]:
    for cell in order:
        signal.alarm(TEST_LIMIT)
        try:
            exec(compile(transform(sources[cell]), cell, "exec"), namespace)
        except Exception as error:
            failed[cell] = f"{type(error).__name__}: {error}"
        finally:
            signal.alarm(0)
    return failed


def _in_fork(work) -> dict:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        with os.fdopen(writer, "w") as pipe:
            json.dump(work(), pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return json.loads(answer)


def _too_long(*_) -> None:
    raise TimeoutError(f"the cell took more than {TEST_LIMIT} s")


if __name__ == "__main__":
    _main()
