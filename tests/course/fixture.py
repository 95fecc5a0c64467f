"""A small assignment (relu 2 points, residual 3 points, and 2 for an explanation), and a course that holds it."""

import json
from pathlib import Path

STUB = "# YOUR CODE HERE\nraise NotImplementedError()"
RELU = "def relu(x):\n    return np.maximum(x, 0)"
RESIDUAL = "def residual(x, f):\n    return f(x) + x"
STUB_RELU = f"def relu(x):\n    {STUB}".replace("\nraise", "\n    raise")
STUB_RESIDUAL = f"def residual(x, f):\n    {STUB}".replace("\nraise", "\n    raise")
CANARIES = ("CANARY_SOLUTION_relu_7f3a", "CANARY_SOLUTION_residual_7f3a", "CANARY_HIDDEN_relu_7f3a",
            "CANARY_HIDDEN_residual_7f3a", "CANARY_MODEL_7f3a")  # fmt: skip


def cell(name, kind, source, grade=False, solution=False, points=None):
    metadata = {"cell_type": kind, "grade": grade, "grade_id": name, "locked": not solution, "schema_version": 3,
                "solution": solution, "task": False}  # fmt: skip
    if grade:
        metadata["points"] = points
    made = {"cell_type": kind, "id": name, "metadata": {"nbgrader": metadata}, "source": source}
    return made | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def notebook(cells):
    metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def source():
    return notebook([
        cell("title", "markdown", "# A first residual\n\nWrite two functions and explain them."),
        cell("setup", "code", "import numpy as np\n\nCLASS_SEED = 2015"),
        cell("relu_text", "markdown", "## Question 1: ReLU (2 points)\n\nWrite `relu(x)`."),
        cell("relu", "code", "def relu(x):\n    ### BEGIN SOLUTION\n    marker = 'CANARY_SOLUTION_relu_7f3a'\n"
             "    return np.maximum(x, 0)\n    ### END SOLUTION", solution=True),
        cell("test_relu", "code", "# Test of question 1 (2 points)\ndef test_relu():\n    x = np.array([-1.0, 2.0])\n"
             '    assert np.allclose(relu(x), [0, 2]), f"relu of [-1, 2] must be [0, 2], got {relu(x)}"\n\n\n'
             "test_relu()\n\n### BEGIN HIDDEN TESTS\nmarker = 'CANARY_HIDDEN_relu_7f3a'\n"
             "x = np.random.default_rng(CLASS_SEED).normal(size=(4, 5))\nbefore = x.copy()\n"
             'assert np.allclose(relu(x), x * (x > 0)), "relu must keep positive numbers and make others 0"\n'
             'assert np.array_equal(x, before), "relu changed its input in place"\n### END HIDDEN TESTS',
             grade=True, points=2),
        cell("residual_text", "markdown", "## Question 2: a residual (3 points)\n\nWrite `residual(x, f)`."),
        cell("residual", "code", "def residual(x, f):\n    ### BEGIN SOLUTION\n"
             "    marker = 'CANARY_SOLUTION_residual_7f3a'\n    return f(x) + x\n    ### END SOLUTION", solution=True),
        cell("test_residual", "code", "# Test of question 2 (3 points)\ndef test_residual():\n    x = np.ones(3)\n"
             '    assert np.allclose(residual(x, lambda z: 2 * z), 3), "the input must be added to f(x)"\n\n\n'
             "test_residual()\n\n### BEGIN HIDDEN TESTS\nmarker = 'CANARY_HIDDEN_residual_7f3a'\n"
             "x = np.random.default_rng(CLASS_SEED + 1).normal(size=6)\n"
             'assert np.allclose(residual(x, np.sin), np.sin(x) + x), "the shortcut must pass x on unchanged"'
             "\n### END HIDDEN TESTS", grade=True, points=3),
        cell("why_text", "markdown", "## Question 3: why add? (2 points)\n\nA person reads your answer."),
        cell("why", "markdown", "### BEGIN SOLUTION\nCANARY_MODEL_7f3a\n\n**Model answer.** The gradient gets a 1.\n\n"
             "**Rubric.** One point for the gradient, one for the identity.\n### END SOLUTION",
             grade=True, solution=True, points=2),
        cell("summary", "code", "# What passes so far.\nfor name in ('relu', 'residual'):\n    try:\n"
             "        globals()[f'test_{name}']()\n        print(name, 'passes')\n"
             "    except Exception as error:\n        print(name, 'fails:', error)"),
    ])  # fmt: skip


def submission(relu=RELU, residual=RESIDUAL, why="The gradient keeps a 1."):
    """Return what a student hands in: the release with these answers."""
    from resnet_edu.course.notebooks import Assignment, cells_of

    made = source()
    release = Assignment("hw1", Path("hw1.ipynb"), made, tuple(cells_of(made))).release
    for each in release["cells"]:
        answer = {"relu": relu, "residual": residual, "why": why}.get(each["id"])
        if answer is not None:
            each["source"] = answer
    return release


def course(folder, **submissions):
    """Make a course with the assignment ``hw1``; each submission is a notebook, bytes or text."""
    path = folder / "course"
    save(path / "source" / "hw1" / "hw1.ipynb", source())
    (path / "nbgrader_config.py").write_text((Path(__file__).parents[2] / "course/nbgrader_config.py").read_text())
    for student, made in submissions.items():
        hand_in(path, student, made)
    return path


def hand_in(path, student, made, name="hw1.ipynb"):
    save(path / "submitted" / student / "hw1" / name, made)


def save(path, made):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(made, bytes):
        path.write_bytes(made)
    else:
        path.write_text(made if isinstance(made, str) else json.dumps(made))


def without(made, *names):
    return made | {"cells": [each for each in made["cells"] if each["id"] not in names]}


def doubled(made, name):
    place = [each["id"] for each in made["cells"]].index(name)
    twin = json.loads(json.dumps(made["cells"][place])) | {"id": f"{name}-2"}
    return made | {"cells": [*made["cells"][: place + 1], twin, *made["cells"][place + 1 :]]}


def changed(made, name, text):
    return made | {"cells": [each | ({"source": text} if each["id"] == name else {}) for each in made["cells"]]}


def stripped(made):
    """Return a notebook whose cells were pasted into a new one: no metadata, no names."""
    cells = [{k: v for k, v in each.items() if k != "id"} | {"metadata": {}} for each in made["cells"]]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}


def through_colab(made):
    """Return a notebook as Colab saves it: its own ids in the metadata, no language, lines as a list."""
    cells = []
    for number, each in enumerate(made["cells"]):
        one = {k: v for k, v in each.items() if k != "id"}
        one["metadata"] = {**each["metadata"], "id": f"kx{number:02}Q", "editable": True}
        one["source"] = each["source"].splitlines(keepends=True)
        cells.append(one)
    metadata = {"colab": {"provenance": []}, "kernelspec": {"name": "python3", "display_name": "Python 3"},
                "language_info": {"name": "python"}}  # fmt: skip
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 0}
