"""Questions in a page: guess, answer, look again; kept on the reader's device alone."""

import datetime
import json
import re

import pytest
from lab_page import faults, open_lab, static  # noqa: F401 (fixtures)

from resnet_edu import lab
from resnet_edu.lab import questions

QUESTIONS = """
[predict]
id = "depth/predict"
text = "What error do you expect?"
unit = "%"
min = 0
max = 100
step = 1
start = 50
[[predict.item]]
key = "a"
label = "plain"
[[predict.item]]
key = "b"
label = "with shortcuts"
[[predict.item]]
key = "c"
label = "the better one"
choices = ["plain", "shortcuts"]
[[predict.reason]]
text = "It overfits."
right = false
why = "The error is {error} on the training images."
[[predict.reason]]
text = "Training does not find good weights."
right = true
why = "They exist."
[[predict.reason]]
text = "The images are too small."
right = false
why = "Eight layers read them."

[[recall]]
id = "depth/why"
text = "Why does $x^{l+1}$ grow by {factor} in `F(x)`?"
answer = "Because *both* add up.\\n\\nBy {factor}."
[[recall.option]]
text = "Both add up"
right = true
why = "They are not correlated."
[[recall.option]]
text = "Only one counts"
right = false
why = "Neither is zero."
[[recall.option]]
text = "By chance"
right = false
why = "Every seed shows it."

[[recall]]
id = "depth/which"
text = "Which have no weights?"
answer = "Option A and no shortcut."
[[recall.option]]
text = "option A"
right = true
why = "It pads."
[[recall.option]]
text = "no shortcut"
right = true
why = "There is none."
[[recall.option]]
text = "option B"
right = false
why = "It projects."

[[recall]]
id = "depth/count"
text = "How many weights?"
answer = "It is {count}."
number = "{count}"
ratio = 1.1
unit = "weights"
near = [[144, "That is one kernel."]]

[[recall]]
id = "depth/alone"
text = "What is wrong here?"
answer = "The stride, as [the blocks](residual-block.ipynb) say; see [the paper](https://example.org/paper)."
alone = true
[[recall.option]]
text = "The stride"
right = true
why = "It stands in the first stage."
[[recall.option]]
text = "The rate"
right = false
why = "Any rate shows it."
"""
NUMBERS = {"factor": "2.0 ± 0.1", "count": 4608}


@pytest.fixture(scope="module")
def chapter(tmp_path_factory):
    """A folder of questions of these tests alone."""
    folder = tmp_path_factory.mktemp("questions")
    (folder / "depth.toml").write_text(QUESTIONS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(questions, "FOLDER", folder)
        questions.read.cache_clear()
        yield folder
    questions.read.cache_clear()


def islands():
    guess = lab.instrument("predict", chapter="depth")
    measured = lab.measured("depth", {"a": 63.3, "b": 0.3, "c": "shortcuts"}, error="63 %")
    return guess, measured, lab.recall("depth", **NUMBERS)


@pytest.fixture
def open_chapter(open_lab, chapter):
    def opened(**options):
        return open_lab(*islands(), name="chapters/depth.html", **options)

    return opened


@pytest.fixture
def open_progress(open_lab, chapter):
    def opened(**options):
        return open_lab(lab.instrument("progress"), name="your-progress.html", **options)

    return opened


def ask(page, text):
    return page.locator("fieldset.rl-ask").filter(has_text=text)


def said(page, region):
    return page.get_by_role("region", name=region, exact=True).locator("[aria-live]").inner_text()


def test_a_chapter_is_played_from_the_guess_to_the_review(open_chapter, open_progress, tmp_path):
    page = open_chapter()
    guess = page.get_by_role("region", name="Your guess", exact=True)
    guess.get_by_label("plain, as a number").fill("20")
    guess.get_by_label("plain, as a number").press("Tab")
    guess.get_by_role("slider", name="with shortcuts").focus()
    page.keyboard.press("ArrowRight")
    guess.get_by_role("radio", name="shortcuts").check()
    guess.get_by_role("button", name="This is my guess").click()
    assert "kept" in said(page, "Your guess").lower()
    compared = page.get_by_role("table", name="Your guess")
    rows = [row.inner_text().split("\t")[1:] for row in compared.get_by_role("row").all()[1:]]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["20 %", "63.3 %", "43 points too low"],
        ["51 %", "0.3 %", "51 points too high"],
        ["shortcuts", "shortcuts", "as measured"],
    ]
    why = ask(page, "why the gap?")
    why.get_by_text("It overfits.").click()
    why.get_by_role("button", name="Check").click()
    assert "It does not hold. The error is 63 % on the training images." in why.inner_text()
    why.get_by_text("Training does not find good weights.").click()
    why.get_by_role("button", name="Check").click()
    assert "It holds. They exist." in why.inner_text()

    first = ask(page, "Why does")
    first.get_by_text("Only one counts").click()
    first.get_by_role("button", name="Check").click()
    assert "Not yet. Neither is zero." in first.inner_text() and "add up.\n" not in first.inner_text()
    assert said(page, "Recall") == "Not yet. Neither is zero."
    first.get_by_text("Both add up").click()
    first.get_by_role("button", name="Check").click()
    assert "By 2.0 ± 0.1." in first.inner_text() and "Every seed shows it." in first.inner_text()
    assert "You missed it at the first try." in first.inner_text()
    assert page.evaluate("document.activeElement.textContent") == "Try again"
    count = ask(page, "How many weights?")
    for typed, words in (("144", "That is one kernel."), ("9000", "too large"), ("4,700", "Right.")):
        count.get_by_label("Your answer").fill(typed)
        count.get_by_label("Your answer").press("Enter")
        assert words in count.inner_text()
    which = ask(page, "Which have no weights?")
    which.get_by_role("checkbox", name="option A").check()
    which.get_by_role("button", name="Check").click()
    assert "there is more to mark" in which.inner_text()

    page.reload()
    assert page.get_by_role("button", name="Guess again").is_visible()
    assert "43 points too low" in page.get_by_role("table", name="Your guess").inner_text()
    assert "It holds. They exist." in ask(page, "why the gap?").inner_text()
    assert ask(page, "Why does").get_by_role("button", name="Try again").is_visible()
    assert ask(page, "How many weights?").get_by_label("Your answer").input_value() == "4700"

    progress = open_progress(keep=page)
    row = progress.get_by_role("row", name="What depth buys").inner_text()
    assert "yes" in row and "not yet" in row and "3 of 4, 0 right at first" in row
    assert "No question is due today." in progress.inner_text("main")
    assert "3 questions to come back" in progress.inner_text("main")
    with progress.expect_download() as download:
        progress.get_by_role("button", name="Export").click()
    saved = tmp_path / "answers.json"
    download.value.save_as(saved)
    kept = json.loads(saved.read_text())
    assert kept["questions"]["depth/predict"]["values"] == {"a": 20, "b": 51, "c": "shortcuts"}

    later = datetime.datetime.now() + datetime.timedelta(days=1)
    for days, stage in ((3, "next on"), (7, "next on"), (21, "next on"), (None, "Nothing waits")):
        progress.clock.set_fixed_time(later)
        progress.reload()
        for question in progress.locator("fieldset.rl-ask").all():
            if question.get_by_text("Both add up").count():
                question.get_by_text("Both add up").click()
            elif question.get_by_label("Your answer").count():
                assert "How many weights?" in question.inner_text()
                question.get_by_label("Your answer").fill("4608")
            else:
                question.get_by_role("checkbox", name="option A").check()
                question.get_by_role("checkbox", name="no shortcut").check()
            question.get_by_role("button", name="Check").click()
            assert "Right." in question.inner_text()
        text = progress.inner_text("main")
        assert "Why does xl+1 grow by 2.0 ± 0.1" in text and stage in text
        if days:
            later += datetime.timedelta(days=days - 1)
            progress.clock.set_fixed_time(later)
            progress.reload()
            assert "No question is due today." in progress.inner_text("main")
            later += datetime.timedelta(days=1)

    other = open_progress()
    other.set_input_files("input[type=file]", saved)
    other.get_by_text("answers taken in").first.wait_for()
    assert "3 of 4" in other.get_by_role("row", name="What depth buys").inner_text()
    other.get_by_role("button", name="Clear").click()
    other.get_by_role("button", name="Delete all answers for good").click()
    assert "0 of 4" in other.get_by_role("row", name="What depth buys").inner_text()


def test_operating_an_instrument_is_remembered_and_looking_at_it_is_not(open_lab, open_progress):
    page = open_lab(lab.instrument("explorer"), name="chapters/depth.html")
    page.locator(".rl select").first.wait_for()
    page.locator(".rl-title").first.click()
    assert page.evaluate("localStorage.length") == 0
    page.locator(".rl select").first.select_option(index=1)
    row = open_progress(keep=page).get_by_role("row", name="What depth buys").inner_text()
    assert re.search(r"not yet\s+✓ yes\s+0 of 4", row)


BLOCKED = (
    """Object.defineProperty(window, "localStorage", { get() { throw new DOMException("no", "SecurityError"); } });"""
)


def test_blocked_storage_is_said_and_everything_works(open_chapter):
    page = open_chapter(start=BLOCKED)
    first = ask(page, "Why does")
    first.get_by_text("Both add up").click()
    first.get_by_role("button", name="Check").click()
    assert "You had it right at the first try." in first.inner_text()
    page.get_by_role("button", name="This is my guess").click()
    assert "too high" in page.get_by_role("table", name="Your guess").inner_text()
    assert page.inner_text("main").count("This browser blocks storage for this page") >= 3


GOOD = {"format": 1, "questions": {"depth/why": {"version": 1, "at": "2026-01-01T00:00:00Z"}}, "operated": {}}
HOSTILE = {
    "no JSON": "{",
    "a list": "[]",
    "another file": '{"name": "x"}',
    "a newer format": json.dumps(GOOD | {"format": 2}),
    "no table": json.dumps(GOOD | {"questions": []}),
    "markup for a name": json.dumps(GOOD | {"questions": {"<img src=x onerror=alert(1)>/x": {}}}),
    "the prototype": '{"format": 1, "operated": {}, "questions": {"__proto__": {"version": 1}}}',
    "no date": json.dumps(GOOD | {"questions": {"depth/why": {"version": 1, "at": "soon"}}}),
    "deep": json.dumps(GOOD | {"questions": {"depth/why": {"version": 1, "at": "2026-01-01", "given": [[[1]]]}}}),
    "huge": json.dumps(GOOD | {"more": "x" * 3_000_000}),
    "operated": json.dumps(GOOD | {"operated": {"depth": 7}}),
}


def store(page, text):
    """Put a text where answers are kept, and show the page anew.

    Not by a script at the page's start: from disk, Chromium gives such a one, 1 to 5 times in 100, a storage that no
    other page sees (never in 600 pairs of pages where it was asked for later).
    """
    page.evaluate("text => localStorage.setItem('resnet-edu-answers', text)", text)
    page.reload()


def test_hostile_files_get_a_message_and_change_nothing(open_progress):
    page = open_progress()
    for name, text in HOSTILE.items():
        file = {"name": "answers.json", "mimeType": "application/json", "buffer": text.encode()}
        page.set_input_files("input[type=file]", file)
        page.locator(".rl-message").get_by_text("answers.json was not taken in").wait_for()
        assert page.evaluate("localStorage.length") == 0, name
        page.reload()


def test_hostile_numbers_in_a_kept_answer_stay_text(open_progress):
    trap = {"version": 1, "at": "2026-01-01T00:00:00Z", "due": "2026-01-02T00:00:00Z", "stage": -9, "right": False}
    trap["numbers"] = {"factor": "<img src=x onerror=window.trapped=1>", "count": "1"}
    kept = {"format": 1, "questions": {"depth/why": trap}, "operated": {}}
    page = open_progress()
    store(page, json.dumps(kept))
    question = ask(page, "Why does")
    assert "<img src=x" in question.inner_text() and page.evaluate("window.trapped") is None
    question.get_by_text("Both add up").click()
    question.get_by_role("button", name="Check").click()
    assert "Right." in question.inner_text()


def test_a_question_whose_version_rose_is_asked_anew_and_old_answers_stay_in_the_export(open_progress, open_chapter):
    entry = {"version": 0, "at": "2026-01-01T00:00:00Z", "right": True, "first": True, "given": []}
    kept = {"format": 1, "operated": {}, "questions": {"depth/why": entry, "depth/gone": {**entry, "version": 3}}}
    page = open_chapter()
    store(page, json.dumps(kept))
    assert ask(page, "Why does").get_by_role("button", name="Check").is_visible()
    progress = open_progress(keep=page)
    assert "0 of 4" in progress.get_by_role("row", name="What depth buys").inner_text()
    with progress.expect_download() as download:
        progress.get_by_role("button", name="Export").click()
    assert json.loads(download.value.path().read_text())["questions"].keys() == {"depth/why", "depth/gone"}


def test_what_cannot_be_read_is_said_and_stays_untouched(open_chapter):
    page = open_chapter()
    store(page, "{broken")
    page.get_by_role("button", name="Skip").click()
    assert "cannot be read" in page.inner_text("main")
    assert page.evaluate("localStorage.getItem('resnet-edu-answers')") == "{broken"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_questions_have_no_accessibility_violation_and_fit_a_phone(open_chapter, open_progress, theme):
    page = open_chapter(theme=theme, width=390)
    page.get_by_role("button", name="This is my guess").click()
    first = ask(page, "Why does")
    first.get_by_text("Only one counts").click()
    first.get_by_role("button", name="Check").click()
    ask(page, "How many weights?").get_by_role("button", name="Show the answer").click()
    for one in (page, open_progress(keep=page, theme=theme)):
        one.set_viewport_size({"width": 390, "height": 800})
        assert faults(one) == []
        assert one.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_question_is_answered_by_keys_alone(open_chapter):
    page = open_chapter()
    ask(page, "Why does").get_by_role("radio").first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert said(page, "Recall").startswith(("Right.", "Not yet."))


def test_without_javascript_questions_fold_their_answers(open_chapter):
    page = open_chapter(java_script_enabled=False)
    assert "(2.0 ± 0.1)".strip("()") in page.inner_text("main")
    assert page.get_by_text("Only one counts").is_visible()
    assert not page.get_by_text("Because both add up.").first.is_visible()
    page.locator("summary").filter(has_text="Answer").first.click()
    assert page.get_by_text("Because both add up.").first.is_visible()
    assert page.get_by_text("63.3 %").is_visible()


@pytest.mark.parametrize("javascript", [True, False])
def test_print_has_all_options_and_the_answers_at_the_end(open_chapter, javascript):
    page = open_chapter(java_script_enabled=javascript)
    page.emulate_media(media="print")
    text = page.locator(".resnet-lab[data-instrument=recall]").inner_text()
    assert text.index("Only one counts") < text.index("How many weights?") < text.index("Answers")
    assert text.count("Because both add up.") == 1 and text.index("Answers") < text.index("Because both add up.")


def test_a_question_alone_stands_at_its_place(open_lab, chapter):
    page = open_lab(lab.recall("depth/alone"))
    assert page.locator("fieldset.rl-ask").count() == 1
    page.get_by_role("button", name="Show the answer").click()
    assert "The stride, as the blocks say" in page.inner_text("main")


SPHINX = """document.addEventListener("readystatechange", () => {
  document.documentElement.dataset.content_root = "../";
});"""


@pytest.mark.parametrize(
    ("page_of", "links"),
    [(SPHINX, ["residual-block.html", "https://example.org/paper"]), ("", ["https://example.org/paper"])],
    ids=["page", "notebook"],
)
def test_links_to_other_pages_of_the_book_are_links_in_the_book_alone(open_lab, chapter, page_of, links):
    page = open_lab(lab.recall("depth/alone"), start=page_of)
    page.get_by_role("button", name="Show the answer").click()
    found = page.locator(".rl-answer a").evaluate_all("links => links.map((link) => link.getAttribute('href'))")
    assert found == links
    assert "as the blocks say; see the paper." in page.inner_text(".rl-answer")


MATHJAX = """window.MathJax = { typesetPromise: async (found) => {
  window.typeset = found.map((one) => one.textContent);
} };"""


def test_formulas_are_set_by_the_pages_mathjax_where_there_is_one(open_chapter):
    page = open_chapter(start=MATHJAX)
    ask(page, "Why does").wait_for()
    assert page.evaluate("window.typeset") == ["\\(x^{l+1}\\)"]
    page = open_chapter()
    assert "xl+1" in ask(page, "Why does").inner_text()
