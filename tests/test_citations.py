"""Citations name people and years, and no two of them look the same."""

import re
import runpy

from conftest import ROOT
from pybtex.database import parse_file, parse_string

BOOK = ROOT / "book"


def labels(bibliography):
    style = runpy.run_path(str(BOOK / "_ext" / "citations.py"))["Formatting"]
    entries = style(label_style=runpy.run_path(str(BOOK / "_ext" / "citations.py"))["Labels"])
    return {one.key: one.label for one in entries.format_bibliography(bibliography)}


def test_every_label_names_one_work():
    found = labels(parse_file(str(BOOK / "references.bib")))
    assert len(set(found.values())) == len(found)
    assert not [label for label in found.values() if set(label) & set("{}\\$+")]
    assert found["he2015"] == "He et al., 2015a" and found["he2015delving"] == "He et al., 2015b"
    assert found["he2016"] == "He et al., 2016"
    assert found["he2019tricks"] == "Tong He et al., 2019"


def test_labels_of_one_and_two_authors_and_of_namesakes():
    entry = "@misc{%s, author = {%s}, title = {%s}, year = {2001}}"
    people = {
        "a": ("Bell, Ann", "Alpha"),
        "b": ("Bell, Ann and Coe, Bo", "Beta"),
        "c": ("Bell, Cy and Coe, Bo", "Beta"),
        "d": (r"Doll{\'a}r, Piotr and Coe, Bo and Bell, Ann", "Zeta"),
        "e": (r"Doll{\'a}r, Piotr and Bell, Ann and Coe, Bo", "Alpha"),
    }
    found = labels(parse_string("\n".join(entry % (key, *of) for key, of in people.items()), "bibtex"))
    assert found == {
        "a": "Bell, 2001",
        "b": "Bell and Coe, 2001",
        "c": "Cy Bell and Coe, 2001",
        "d": "Dollár et al., 2001b",
        "e": "Dollár et al., 2001a",
    }


def test_no_name_is_printed_twice():
    """``Yang et al. {cite}`` prints the name a second time; ``{cite:t}`` prints it once, with the year."""
    twice = re.compile(r"[A-Z]\w+(?: and [A-Z]\w+| et al\.) \{cite\}`[\w,]+`")
    pages = [path for path in BOOK.rglob("*") if path.suffix in (".md", ".ipynb") and "_build" not in path.parts]
    found = [(path.name, match[0]) for path in pages for match in twice.finditer(path.read_text(encoding="utf-8"))]
    assert pages and not found
