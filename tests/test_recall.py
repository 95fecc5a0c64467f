"""The chapters' questions: each is asked in its page, and the right answer cannot be told by its looks."""

import json
import re
from statistics import mean

import pytest
from conftest import ROOT

from resnet_edu.lab import questions

PAGES = sorted((ROOT / "book" / "chapters").glob("*.ipynb"))
ALL = questions.read_all()


def code(path):
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == "code"]


def headings(path):
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in found if cell["cell_type"] == "markdown")
    return re.findall(r"^## (.*)$", text, re.MULTILINE), text


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_asks_all_questions_of_its_file_once(path):
    name = path.stem
    asked = re.findall(r'lab\.recall\(\s*"([^"]+)"', "\n".join(code(path)))
    listed = [one for one in ALL[name].recall if not one.alone] if name in ALL else []
    wanted = ([name] if listed else []) + [one.id for one in ALL[name].recall if one.alone] if name in ALL else []
    assert sorted(asked) == sorted(wanted)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_recall_is_asked_and_not_only_unfolded(path):
    found, text = headings(path)
    assert ("Recall" in found) == (path.stem in ALL and any(not one.alone for one in ALL[path.stem].recall))
    recall = text.partition("## Recall")[2].partition("\n## ")[0]
    assert "<details>" not in recall


def test_each_diagnosis_of_the_museum_is_asked_first():
    cells = json.loads((ROOT / "book" / "chapters" / "myths-and-bugs.ipynb").read_text(encoding="utf-8"))["cells"]
    texts = ["".join(cell["source"]) for cell in cells]
    diagnoses = [number for number, text in enumerate(texts) if "<summary>Diagnosis" in text]
    assert len(diagnoses) == 14
    assert all("lab.recall(" in texts[number - 1] for number in diagnoses)


def test_the_right_answer_is_not_known_by_its_length():
    single = [
        one for chapter in ALL.values() for one in chapter.recall if sum(option.right for option in one.option) == 1
    ]
    longest = [max(one.option, key=lambda option: len(option.text)).right for one in single]
    shortest = [min(one.option, key=lambda option: len(option.text)).right for one in single]
    # By chance about a quarter each.
    assert mean(longest) < 0.35 and mean(shortest) < 0.35


def test_the_right_answer_is_not_known_by_absolute_words():
    absolute = re.compile(r"\b(always|never|only|all|none|must|cannot|every)\b", re.IGNORECASE)
    options = [option for chapter in ALL.values() for one in chapter.recall for option in one.option]
    share = {
        right: mean(bool(absolute.search(option.text)) for option in options if option.right == right)
        for right in (True, False)
    }
    assert abs(share[True] - share[False]) < 0.12, share
