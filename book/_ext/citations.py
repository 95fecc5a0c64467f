"""Citations by author and year, the same in the text and in the bibliography, and each of them unambiguous.

Two works of the same people and year become 2015a and 2015b; people who share a surname keep their given name, but for
the one with most works (He is Kaiming He, Tong He is written out).
"""

import re
from collections import Counter
from dataclasses import dataclass, field

import pybtex.plugin
from pybtex.richtext import Text
from pybtex.style.formatting.unsrt import Style as UnsrtStyle
from pybtex.style.labels import BaseLabelStyle
from pybtex.style.template import node
from sphinxcontrib.bibtex.plugin import register_plugin
from sphinxcontrib.bibtex.style.referencing import BracketStyle, GroupReferenceStyle
from sphinxcontrib.bibtex.style.referencing.basic_author_year import (
    BasicAuthorYearParentheticalReferenceStyle,
    BasicAuthorYearTextualReferenceStyle,
)
from sphinxcontrib.bibtex.style.template import entry_label, join, post_text, pre_text, reference

NAME = "resnet_edu"  # of all three styles


def plain(parts: list[str]) -> str:
    """Return names without the braces and accents of TeX."""
    return str(Text.from_latex(" ".join(parts)))


def surname(person) -> str:
    """Return the family name."""
    return plain(person.prelast_names + person.last_names)


def full_name(person) -> str:
    """Return given and family name, without initials."""
    given = [name for name in person.first_names + person.middle_names if not re.fullmatch(r"\w\.?", name)]
    return plain([*given, surname(person)])


class Labels(BaseLabelStyle):
    """``Authors, year`` for each entry, with given names and letters where two would be the same."""

    def format_labels(self, sorted_entries):
        """Return the labels in the order of the entries."""
        firsts = [entry.persons["author"][0] for entry in sorted_entries]
        works = Counter(map(full_name, firsts))
        known = {}
        for name, count in works.most_common():
            others = [other for other in works if other != name and other.split()[-1] == name.split()[-1]]
            known[name] = all(works[other] < count for other in others)
        authors = [
            self.authors(entry.persons["author"], known[full_name(first)])
            for entry, first in zip(sorted_entries, firsts, strict=True)
        ]
        labels = [
            f"{who}, {entry.fields.get('year', 'n.d.')}" for who, entry in zip(authors, sorted_entries, strict=True)
        ]
        count, seen = Counter(labels), Counter()
        for label in labels:
            seen[label] += 1
            yield label + (chr(ord("a") + seen[label] - 1) if count[label] > 1 else "")

    def authors(self, persons, known: bool) -> str:
        """Return one or two names, or the first and "et al."."""
        first = surname(persons[0]) if known else full_name(persons[0])
        if len(persons) == 1:
            return first
        return f"{first} and {surname(persons[1])}" if len(persons) == 2 else f"{first} et al."


class Formatting(UnsrtStyle):
    """Pybtex's plain list, sorted by author, year and title, with these labels."""

    default_label_style = NAME
    default_sorting_style = "author_year_title"


@node
def label_part(children, data, part):
    """Return the authors (0) or the year (1) of an entry's label."""
    return Text(str(data["formatted_entry"].label).rpartition(", ")[2 * part])


class Parenthetical(BasicAuthorYearParentheticalReferenceStyle):
    """[He et al., 2015a], the label itself."""

    def inner(self, role_name):
        """Return the template of one reference."""
        return join[pre_text, reference[entry_label], post_text]


class Textual(BasicAuthorYearTextualReferenceStyle):
    """He et al. [2015a]."""

    def inner(self, role_name):
        """Return the template of one reference."""
        return join(sep=" ")[label_part(0), join["[", pre_text, reference[label_part(1)], post_text, "]"]]


@dataclass
class References(GroupReferenceStyle):
    """Both kinds of citation."""

    bracket: BracketStyle = field(default_factory=BracketStyle)

    def __post_init__(self):
        """Gather the two styles."""
        self.styles.extend([Parenthetical(bracket=self.bracket), Textual(bracket=self.bracket)])
        super().__post_init__()


def drop_list_role(app, pagename, templatename, context, doctree):
    """Mend the list of citations for screen readers.

    docutils marks it as ``role="list"`` and its entries as ``role="doc-biblioentry"``, which is no list item and is
    deprecated in DPUB-ARIA 1.1: axe-core reports both. Without roles the entries are plain text with their links.
    """
    if "body" in context:
        body = context["body"].replace('<div role="list" class="citation-list">', '<div class="citation-list">')
        context["body"] = body.replace(' role="doc-biblioentry"', "")


def setup(app):
    """Register the styles and the mend."""
    pybtex.plugin.register_plugin("pybtex.style.labels", NAME, Labels)
    pybtex.plugin.register_plugin("pybtex.style.formatting", NAME, Formatting)
    register_plugin("sphinxcontrib.bibtex.style.referencing", NAME, References)
    app.connect("html-page-context", drop_list_role)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
