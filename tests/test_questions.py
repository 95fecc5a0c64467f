"""Questions: read and checked, and shown without a browser."""

import itertools
import json
import re

import pytest
import yaml
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from resnet_edu import lab
from resnet_edu.lab import asking, questions

RECALL = """
[[recall]]
id = "depth/why"
text = "Why?"
answer = "So."
[[recall.option]]
text = "yes"
right = true
why = "It is."
[[recall.option]]
text = "no"
right = false
why = "It is not."
"""
NUMBER = """
[[recall]]
id = "depth/count"
text = "How many?"
answer = "Three."
number = 3
tolerance = 0
"""
PREDICT = """
[predict]
id = "depth/predict"
text = "What?"
min = 0
max = 10
step = 1
start = 5
item = [{key = "a", label = "first"}, {key = "b", label = "second", choices = ["up", "down"]}]
reason = [
  {text = "one", right = true, why = "Yes."},
  {text = "two", right = false, why = "No."},
  {text = "three", right = false, why = "No."},
]
"""
ALL = questions.read_all()
EVERY = [one for chapter in ALL.values() for one in (chapter.predict, *chapter.recall) if one]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of questions for one test; ``folder(text)`` writes the file of the chapter ``depth``."""
    monkeypatch.setattr(questions, "FOLDER", tmp_path)
    questions.read.cache_clear()

    def write(text, name="depth"):
        (tmp_path / f"{name}.toml").write_text(text)
        questions.read.cache_clear()

    yield write
    questions.read.cache_clear()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[recall]\n", r"questions/depth.toml is no TOML"),
        ("[guess]\n", r"depth.toml: unknown key 'guess'; known are predict, recall"),
        (RECALL.replace("answer", "anwser"), r"depth/why: unknown key 'anwser'; known are id, text, answer"),
        (RECALL.replace('why = "It is."', ""), r"depth/why, option 1: the key 'why' is missing"),
        (RECALL.replace("right = true", "right = 1"), r"depth/why, option 1: right must be bool, got 1"),
        (RECALL.replace("depth/why", "degradation/why"), r"id must be 'depth/' and a name"),
        (RECALL.replace("depth/why", "depth/Why?"), r"id must be 'depth/' and a name"),
        (RECALL + RECALL, r"depth/why: this id is used twice"),
        (RECALL.replace("right = false", "right = true"), r"no option is wrong; at least one must be, with why"),
        (RECALL.replace("right = true", "right = false"), r"no option is right"),
        (RECALL.replace('why = "It is not."', 'why = " "'), r"the option 'no' has no sentence in why"),
        (RECALL.replace('text = "no"', 'text = "yes"'), r"two options have the same text"),
        (RECALL + "[[recall.option]]\ntext = 3\nright = true\nwhy = ''", r"option 3: text must be str, got 3"),
        (RECALL.replace('answer = "So."', 'answer = "So."\nnumber = 3'), r"either options or a number, and not both"),
        (RECALL.replace('answer = "So."', 'answer = "So."\nratio = 2'), r"ratio belongs to a number"),
        (RECALL.replace("So.", "So $\\\\tfrac12$."), r"\\tfrac reads badly without a renderer"),
        (RECALL.replace('"So."', '""'), r"a text is empty"),
        (NUMBER.replace("tolerance = 0", ""), r"needs either a tolerance or a ratio"),
        (NUMBER.replace("tolerance = 0", "ratio = 0.5"), r"ratio must be >= 1, got 0.5"),
        (NUMBER.replace("number = 3", 'number = "three"'), r"""number must be a number or "\{name\}", got 'three'"""),
        (NUMBER + "near = [3]", r"near must list \[number, why\], got 3"),
        (NUMBER.replace("tolerance = 0", "tolerance = inf"), r"tolerance must be .*, got inf"),
        (PREDICT.replace("start = 5", "start = 50"), r"start must lie between min and max, got 50 of 0 … 10"),
        (PREDICT.replace("step = 1", "step = 0"), r"step must be above 0, got 0"),
        (PREDICT.replace("step = 1", 'scale = "log"'), r"min must be above 0 on a logarithmic scale, got 0"),
        (PREDICT.replace("step = 1", 'scale = "square"\nstep = 1'), r"scale must be 'linear' or 'log', got 'square'"),
        (PREDICT.replace('key = "b"', 'key = "a"'), r"two items have the same key"),
        (PREDICT.replace('"up", "down"', '"up"'), r"choices must be two or more different words"),
        (re.sub(r'  \{text = "three".*\n', "", PREDICT), r"give at least 3 reasons to choose from, got 2"),
        (PREDICT.replace("What?", "What {name}?"), r"have no gaps; got \['name'\]"),
        (PREDICT + RECALL.replace("depth/why", "depth/predict"), r"depth/predict: this id is used twice"),
    ],
)
def test_a_fault_of_a_file_is_named_with_its_place(text, words):
    with pytest.raises(ValueError, match=words):
        questions.parse("depth", text)


def test_what_the_faults_were_made_of_is_read():
    chapter = questions.parse("depth", PREDICT + RECALL + NUMBER)
    assert [item.start for item in chapter.predict.item] == [5, None]
    assert [one.id for one in chapter.recall] == ["depth/why", "depth/count"]


def test_every_id_is_used_once_and_every_file_is_a_chapter():
    assert len({one.id for one in EVERY}) == len(EVERY) > 60
    guesses = set(ALL) - {"lab"}
    assert all(ALL[name].predict for name in guesses) and len(guesses) == 14


def test_a_file_of_no_chapter_is_named(folder):
    folder(RECALL, "depths")
    with pytest.raises(ValueError, match=r"questions/depths.toml belongs to no chapter"):
        questions.read_all()
    with pytest.raises(ValueError, match=r"chapter must be one of 'depth', .*, got 'dept'"):
        lab.recall("dept")
    with pytest.raises(ValueError, match=r"'lab' has no questions \(no file lab.toml\)"):
        lab.recall("lab")


def test_titles_and_order_of_the_chapters_are_the_books():
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text())
    files = [one["file"] for part in toc["parts"] for one in part["chapters"]]
    assert [f"chapters/{name}" for name in questions.CHAPTERS] == [one for one in files if one.startswith("chapters/")]
    for name, title in questions.CHAPTERS.items():
        cells = json.loads((ROOT / "book" / "chapters" / f"{name}.ipynb").read_text())["cells"]
        assert "".join(cells[0]["source"]).splitlines()[0] == f"# {title}"


def test_every_chapter_asks_before_it_measures():
    for name in set(ALL) - {"lab"}:
        cells = json.loads((ROOT / "book" / "chapters" / f"{name}.ipynb").read_text())["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        asked = [n for n, text in enumerate(code) if f'lab.predict("{name}")' in text]
        shown = [n for n, text in enumerate(code) if "lab.measured(" in text]
        assert len(asked) == len(shown) == 1 and asked < shown, name


def test_numbers_are_filled_in_or_asked_for(folder):
    folder(RECALL.replace("So.", "So by {factor}, {count} times.") + NUMBER.replace("number = 3", 'number = "{count}"'))
    shown = lab.recall("depth", factor="2.0 ± 0.1", count=4608)
    assert "So by 2.0 ± 0.1, 4,608 times." in str(shown) and shown.data["questions"][1]["number"] == 4608
    assert shown.data["questions"][0]["numbers"] == {"count": "4,608", "factor": "2.0 ± 0.1"}
    with pytest.raises(ValueError, match=r"recall\('depth'\) needs a number for count: add count=…"):
        lab.recall("depth", factor=1)
    with pytest.raises(ValueError, match=r"no question has a gap \{facto\}; this one has the gaps count, factor"):
        lab.recall("depth", factor=1, count=2, facto=1)
    with pytest.raises(ValueError, match=r"depth/count: the answer \{count\} must be filled with a number, got 'many'"):
        lab.recall("depth", factor=1, count="many")


def test_filled_in_text_cannot_become_markup(folder):
    folder(RECALL.replace("So.", "So <b>{factor}</b>."))
    shown = lab.recall("depth", factor="<script>alert(1)</script>")
    (question,) = shown.data["questions"]
    assert "&lt;b&gt;&lt;script&gt;" in question["answer"] and "<script>" not in question["answer"]
    assert str(shown).count("</script>") == 1


def test_a_question_alone_is_shown_by_its_id_and_not_in_the_list(folder):
    folder(RECALL + NUMBER + "alone = true\n")
    assert [one["id"] for one in lab.recall("depth").data["questions"]] == ["depth/why"]
    assert [one["id"] for one in lab.recall("depth/count").data["questions"]] == ["depth/count"]
    with pytest.raises(ValueError, match=r"no recall question 'depth/x'; the chapter has depth/why, depth/count"):
        lab.recall("depth/x")


def test_measured_values_go_beside_the_items(folder):
    folder(PREDICT)
    shown = lab.measured("depth", {"a": 3.25, "b": "up", "more": 1})
    assert shown.data["measured"] == {"a": 3.25, "b": "up"} and "3.25" in str(shown)
    assert lab.measured("depth", {"a": float("nan")}).data["measured"] == {"a": None, "b": None}
    with pytest.raises(ValueError, match=r"depth/predict asks for 'a', 'b'; got 'c'"):
        lab.measured("depth", {"c": 1})
    with pytest.raises(ValueError, match=r"depth/predict, b: must be one of up, down, got 'left'"):
        lab.measured("depth", {"b": "left"})
    with pytest.raises(ValueError, match="no question has a gap"):
        lab.measured("depth", {"a": 1}, error=2)
    folder(RECALL)
    with pytest.raises(ValueError, match=r"asks for no guess: questions/depth.toml has no \[predict\]"):
        lab.predict("depth")


def test_in_a_kernel_the_guess_reaches_later_cells(folder):
    folder(PREDICT)
    question = lab.predict("depth")
    assert question.values == {"a": 5, "b": None}
    assert lab.measured("depth", {"a": 1}).data["guess"] is None
    question.given = {"a": 7, "b": "up"}  # as the widget does when the reader commits
    assert question.values == {"a": 7, "b": "up"}
    assert lab.measured("depth", {"a": 1}).data["guess"] == {"a": 7, "b": "up"}
    again = lab.predict("depth")
    assert again.values == {"a": 5, "b": None} and question.comm is None  # the one before is closed
    shown = question.still._repr_html_()
    assert 'data-instrument="predict"' in shown and len(shown) < 150_000  # no engine in it


@given(st.permutations(["yes", "no", "perhaps", "often"]))
def test_options_stand_in_an_order_that_their_texts_fix(texts):
    options = tuple(questions.Option(text, text == "yes", "So.") for text in texts)
    assert [one["text"] for one in asking._options(options, {})] == sorted(
        texts, key=lambda text: questions.Option(text, True, "").key
    )


def test_the_right_option_has_no_place_of_its_own():
    places = [
        [option["right"] for option in asking._options(one.option, {name: "1" for name in one.gaps})].index(True)
        for one in EVERY
        if isinstance(one, questions.Recall) and sum(option.right for option in one.option) == 1
    ]
    assert max(map(places.count, set(places))) < 0.6 * len(places)


@pytest.mark.parametrize(
    ("tex", "html"),
    [
        ("x^2", "x<sup>2</sup>"),
        ("2^{l+1}", "2<sup>l+1</sup>"),
        ("x_l - 1", "x<sub>l</sub> − 1"),
        (r"\sqrt{2}", "√(2)"),
        (r"\partial E / \partial x", "∂ E / ∂ x"),
        (r"a < b \cdot c", "a &lt; b · c"),
        ("x^{a_{b}}", "x<sup>a<sub>b</sub></sup>"),
    ],
)
def test_formulas_read_well_without_a_renderer(tex, html):
    assert questions.formula(tex) == html


def test_markdown_is_shown_and_html_is_not():
    text = "*a* `x^2 $y$` $x^2$ [b](c.ipynb#d) <img src=x>"
    assert questions.markup(text) == (
        "<em>a</em> <code>x^2 $y$</code> "
        '<span class="math rl-tex" data-tex="x^2">x<sup>2</sup></span> <a href="c.html#d">b</a> &lt;img src=x&gt;'
    )


def test_numbers_are_written_as_a_person_would():
    wanted = {3: "3", 1234567: "1,234,567", 0.12345: "0.123", 12.345: "12.3", 850000.0: "850,000", 1234.5: "1,234"}
    assert {value: questions.spoken(value) for value in wanted} == wanted
    assert questions.spoken(1.8e-7) == "1.80·10⁻⁷" and questions.spoken(float("nan")) == "–"


def test_the_page_of_progress_has_every_question_with_links_from_the_books_root():
    data = lab.instrument("progress").data
    assert [one["name"] for one in data["chapters"]] == list(questions.CHAPTERS)
    asked = list(itertools.chain.from_iterable(one["recall"] for one in data["chapters"]))
    assert len(asked) == sum(len(chapter.recall) for chapter in ALL.values())
    links = re.findall(r'href=\\"([^"\\]+)', json.dumps(data))
    assert all(link.startswith(("chapters/", "http", "appendix/", "exercises/")) for link in links)
    assert len(json.dumps(data)) < 250_000
