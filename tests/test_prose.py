"""What a reader reads: spelled right, and no result typed by hand."""

import json
import re

import pytest
from conftest import ROOT
from spellchecker import SpellChecker

from resnet_edu.lab import questions

BOOK = ROOT / "book"
PAGES = sorted(
    path
    for kind in ("*", "chapters/*", "exercises/*", "appendix/*")
    for path in BOOK.glob(kind)
    if path.suffix in (".md", ".ipynb")
)
WORDS = set((ROOT / "tests" / "words.txt").read_text(encoding="utf-8").split())

NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?\s?(?:%|percent)|\b\d+\.\d+\b")
# A sentence with one of these says where its numbers are from.
CITED = re.compile(r"\{cite|[Tt]able|section|Fig|Eq\b|paper|footnote|abstract|issue \d|documentation|reports|gives")
# Settings, definitions, worked examples and names: no results.
SETTINGS = {
    *("0.9", "0.1", "0.01", "0.001", "0.0001", "0.5", "0.3", "0.03", "0.2", "1.5", "90 %", "50 %", "10 %"),
    *("5.1", "5.2", "2 %", "100 %"),  # the amplifier's example: from 5.1 to 5.2
    *("3.8", "4.1"),  # as the two variants of ResNet-50 are known
}


def prose(path):
    """Return the lines of a page that are prose: no code, no formulas, no addresses."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        text = "\n".join("".join(c["source"]) for c in json.loads(text)["cells"] if c["cell_type"] == "markdown")
    return plain(text)


def plain(text):
    """Return the lines of Markdown without code, formulas and addresses."""
    hidden = r"```.*?```|\$\$.*?\$\$|\$[^$]*\$|`[^`]*`|\]\([^)]*\)|https?://\S+|<[^>]*>|^:\w+:.*?$|^:::.*?$"
    return re.sub(hidden, " ", text, flags=re.DOTALL | re.MULTILINE).splitlines()


CHAPTERS = sorted(questions.read_all().items())


@pytest.mark.parametrize(("name", "chapter"), CHAPTERS, ids=[name for name, _ in CHAPTERS])
def test_questions_are_spelled_right_and_hold_no_typed_result(name, chapter):
    asked = [*([chapter.predict] if chapter.predict else []), *chapter.recall]
    texts = ["\n".join(plain(re.sub(r"\{\w+\}", " ", text))) for one in asked for text in questions.texts(one)]
    found = {word.lower() for word in re.findall(r"[A-Za-z][a-z]+", " ".join(texts))}
    assert not SpellChecker().unknown(found) - WORDS, "mend the word, or add it to tests/words.txt"
    typed = [text for text in texts if not CITED.search(text) and set(NUMBER.findall(text)) - SETTINGS]
    assert not typed, "write {name}, and fill it in where the question is asked, or say where the number is from"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_words_are_spelled_right(path):
    text = re.sub(r"\{[^}]*\}", " ", " ".join(prose(path)))
    found = {word.lower() for word in re.findall(r"[A-Za-z][a-z]+", text)}
    unknown = SpellChecker().unknown(found) - WORDS
    assert not unknown, "mend the word, or add it to tests/words.txt"


@pytest.mark.parametrize("path", [page for page in PAGES if page.parent.name == "chapters"], ids=lambda path: path.stem)
def test_results_in_prose_are_computed_or_cited(path):
    typed = [
        line
        for line in prose(path)
        if not CITED.search(line) and not line.startswith(("|", ">", "#")) and set(NUMBER.findall(line)) - SETTINGS
    ]
    assert not typed, "print the number with figures.say, quote it from the bank, or say where it is from"
