"""Every exercise of a chapter has an answer that was run as its script stands, and a page shows it."""

import json
import re
import types

import pytest
from conftest import ROOT
from spellchecker import SpellChecker
from test_prose import NUMBER, SETTINGS, WORDS

from resnet_edu import solutions

PAGES = {path.stem: path for path in sorted((ROOT / "book" / "chapters").glob("*.ipynb"))}
ALL = {name: solutions.load(name) for name in solutions.chapters()}


def cells(name):
    found = json.loads(PAGES[name].read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in found]


def test_every_chapter_with_exercises_has_solutions():
    assert set(ALL) == {name for name in PAGES if any("## Exercises" in text for text in cells(name))}


@pytest.mark.parametrize("name", ALL)
def test_every_exercise_has_a_solution_that_its_page_shows(name):
    texts = cells(name)
    place = next(i for i, text in enumerate(texts) if "## Exercises" in text)
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", texts[place].split("## Exercises")[1], re.MULTILINE)]
    assert [one.number for one in ALL[name]] == numbers == list(range(1, len(numbers) + 1))
    assert f'solutions.show("{name}")' in texts[place + 1]


@pytest.mark.parametrize("name", ALL)
def test_records_are_of_the_scripts_as_they_stand(name):
    found = solutions.records(name)
    assert set(found) == {str(one.number) for one in ALL[name] if not one.is_hint}, "a record without an exercise"
    assert [line for one in ALL[name] for line in one.problems(found.get(str(one.number)))] == []


@pytest.mark.parametrize("name", ALL)
def test_a_page_shows_text_code_and_numbers_folded(name, capsys):
    found = solutions.records(name)
    for one in ALL[name]:
        shown = solutions.fold(one, found.get(str(one.number)))
        assert shown.count("<details>") == shown.count("</details>") == 1
        assert len(one.text(found.get(str(one.number)))) > 60, "a solution says more than a word"
        assert not solutions.PLACE.search(one.text(found.get(str(one.number)))), "a place without its number"
        assert one.is_hint or (f"def {one.function.__name__}" in shown and "Recorded 20" in shown)


def quick():
    for name, found in ((name, solutions.records(name)) for name in ALL):
        for one in ALL[name]:
            record = found.get(str(one.number))
            if record and record["seconds"] < 0.3:
                yield pytest.param(one, record, id=f"{name}-{one.number}")


@pytest.mark.parametrize(("one", "record"), list(quick()))
def test_a_quick_solution_gives_its_recorded_numbers_again(one, record):
    for name, values in one.run()["numbers"].items():
        for value, kept in zip(values, record["numbers"][name], strict=True):
            # What is rounding may be another rounding elsewhere.
            assert value == (kept if isinstance(kept, str) else pytest.approx(kept, rel=1e-3, abs=1e-5))


SCRIPT = '''
def helper():
    return 2


def exercise_1(seed):
    """{text}"""
    return {{"a": helper() * {factor} + seed}}
'''


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Return what makes a solution of a script; each gets a file of its own, for the source is read from there."""
    monkeypatch.setattr(solutions, "RECORDED", tmp_path)

    def make(text="It is {a:.2f}.", factor=3):
        file = tmp_path / f"script_{len(list(tmp_path.iterdir()))}.py"
        file.write_text(SCRIPT.format(text=text, factor=factor))
        module = types.ModuleType(file.stem)
        module.__file__ = str(file)
        exec(compile(file.read_text(), file, "exec"), vars(module))
        return solutions.Solution("made-up", module.exercise_1, module)

    return make


def test_a_changed_script_asks_for_a_new_record_and_a_changed_text_does_not(script):
    record = solutions.record(script())
    assert solutions.records("made-up") == {"1": record}
    assert record["numbers"] == {"a": [6, 7, 8]} and record["seeds"] == 3
    assert script(text="Another {a}.").problems(record) == []
    assert "changed after it was recorded" in script(factor=4).problems(record)[0]
    assert "not recorded" in script().problems(None)[0]
    assert "quotes b" in script(text="{b}").problems(record)[0]


def test_a_text_quotes_mean_and_deviation_over_the_seeds(script):
    one = script(text="It is {a:.2f}, see {eq}`a`, $x_{a}$.")
    assert one.text(one.run()) == "It is 7.00\u00a0±\u00a01.00, see {eq}`a`, $x_{a}$."
    lost = one.run() | {"numbers": {"a": [1.0, None, 1.0]}}
    assert one.text(lost).startswith("It is 1.00 (1 of 3 diverged)")


@pytest.mark.parametrize("name", ALL)
def test_texts_are_spelled_right_and_quote_their_numbers(name):
    for one in ALL[name]:
        text = re.sub(r"`[^`]*`|\$[^$]*\$|\]\([^)]*\)|\{[^}]*\}", " ", one.function.__doc__)
        words = {word.lower() for word in re.findall(r"[A-Za-z][a-z]+", text)}
        assert not SpellChecker().unknown(words) - WORDS, f"exercise {one.number}: mend the word, or add it"
        lines = [line for line in text.splitlines() if not line.strip().startswith("|")]
        assert not set(NUMBER.findall(" ".join(lines))) - SETTINGS - {"0.05"}, f"exercise {one.number}: typed results"
