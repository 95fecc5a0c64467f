"""Make the submissions that ``styles.toml`` describes."""

import json
import re
import tomllib
from pathlib import Path

from resnet_edu.course.notebooks import Assignment

NAME = "residual-block"
WRITTEN = "An addition needs none of its inputs."
COURSE = Path(__file__).parents[2] / "course"


def styles() -> list[dict]:
    return tomllib.loads(Path(__file__).with_name("styles.toml").read_text())["style"]


def student(style: dict) -> str:
    """Return a name for a folder."""
    return re.sub(r"\W+", "-", style["name"])[:60].strip("-")


def submission(style: dict, assignment: Assignment) -> dict:
    """Return what is handed in: the release with answers, own cells, and what a tool made of it."""
    solutions = {cell.name: cell.model for cell in assignment.cells if cell.kind == "code" and not cell.is_test}
    made = json.loads(json.dumps(assignment.release))
    for cell in made["cells"]:
        name = name_of(cell)
        if name in solutions and cell["metadata"]["nbgrader"]["solution"]:
            text = style.get("answers", {}).get(name, solutions[name])
            cell["source"] = filled(text.replace("{solution}", solutions[name]), solutions)
        elif name == "in_place_trap":
            cell["source"] = WRITTEN
    for number, own in enumerate(style.get("cells", ())):
        where, _, name = own["put"].partition(" ")
        place = len(made["cells"]) if where == "end" else at(made, name) + (where == "after")
        made["cells"].insert(place, code(filled(own["source"], solutions), f"own{number}"))
    return SHAPES[style["shape"]](made, solutions) if "shape" in style else made


def filled(text: str, solutions: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: solutions.get(match[1], match[0]), text)


def name_of(cell: dict) -> str | None:
    return cell["metadata"].get("nbgrader", {}).get("grade_id")


def at(made: dict, name: str) -> int:
    return [name_of(cell) for cell in made["cells"]].index(name)


def code(source: str, name: str) -> dict:
    return {"cell_type": "code", "id": name, "metadata": {}, "source": source, "outputs": [], "execution_count": None}


def text(source: str) -> dict:
    return {"cell_type": "markdown", "id": "written", "metadata": {}, "source": source}


def crlf(made, _):
    for cell in made["cells"]:
        cell["source"] = cell["source"].replace("\n", "\r\n")
    return made


def no_ids(made, _):
    for cell in made["cells"]:
        del cell["id"]
    return made | {"nbformat_minor": 2}


def pasted(made, _):
    for cell in crlf(no_ids(made, _), _)["cells"]:
        cell["metadata"] = {}
    return made


def colab(made, _):
    for number, cell in enumerate(no_ids(made, _)["cells"]):
        cell["metadata"]["id"] = f"kx{number:02}Q"
        cell["source"] = cell["source"].splitlines(keepends=True)
    return made | {"metadata": {"colab": {"provenance": []}}}


def vscode(made, _):
    for cell in made["cells"]:
        cell["metadata"]["vscode"] = {"languageId": "python"}
    picture = {"output_type": "display_data", "data": {"image/png": "A" * 5_000_000}, "metadata": {}}
    made["cells"][2]["outputs"] = [picture] * 2
    return made


def import_in_setup(made, _):
    made["cells"][at(made, "setup")]["source"] = "import math\n" + made["cells"][at(made, "setup")]["source"]
    return made


def split(made, solutions):
    """The class and a helper before it, as two cells with the same metadata."""
    place = at(made, "basic_block")
    helper = json.loads(json.dumps(made["cells"][place])) | {"id": "split", "source": "def twice(x):\n    return 2 * x"}
    made["cells"].insert(place, helper)
    return made


def into_test(made, solutions):
    test = made["cells"][at(made, "test_shortcut_a")]
    test["source"] = f"{solutions['shortcut_a']}\n\n{test['source']}"
    made["cells"][at(made, "shortcut_a")]["source"] = ""
    return made


def below_stub(made, _):
    made["cells"][at(made, "in_place_trap")]["source"] = "YOUR ANSWER HERE"
    made["cells"].insert(at(made, "in_place_trap") + 1, text(WRITTEN))
    return made


def in_question(made, _):
    made["cells"][at(made, "in_place_trap")]["source"] = "YOUR ANSWER HERE"
    made["cells"][at(made, "q7")]["source"] += f"\n\n{WRITTEN}"
    return made


def two_cells(made, _):
    made["cells"].insert(at(made, "in_place_trap") + 1, text("And batch normalisation needs its input."))
    return made


def as_code(made, _):
    cell = made["cells"][at(made, "in_place_trap")]
    cell |= {"cell_type": "code", "outputs": [], "execution_count": None, "source": f'"""{WRITTEN}"""'}
    return made


def as_raw(made, _):
    made["cells"][at(made, "in_place_trap")]["cell_type"] = "raw"
    return made


SHAPES = {
    each.__name__: each
    for each in (crlf, no_ids, pasted, colab, vscode, import_in_setup, split, into_test, below_stub, in_question,
                 two_cells, as_code, as_raw)
}  # fmt: skip
