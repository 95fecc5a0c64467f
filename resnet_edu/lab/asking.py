"""Questions in a page: what stands there without JavaScript and in print, and the data for the front end.

``predict``, ``measured`` and ``recall`` are what a chapter calls; ``front/instruments/`` has ``predict.mjs`` (the
first two), ``recall.mjs`` and ``progress.mjs``.
"""

import html
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from resnet_edu.lab import questions
from resnet_edu.lab.questions import CHAPTERS, Item, Option, Prediction, Recall, check_numbers, fill, markup

if TYPE_CHECKING:
    from resnet_edu.lab.instruments import Instrument
    from resnet_edu.lab.widget import Question

_HIDDEN = 'style="display:none"'  # on a screen without the style sheet, too; a printed page shows it (lab.css)


def predict(chapter: str) -> "Question":
    """Return the chapter's question for a guess, to stand as a cell's last expression.

    Its ``values`` are the reader's numbers (before they commit, the values from which the sliders start).
    Raises ``ValueError`` for a chapter without one.
    """
    from resnet_edu.lab.widget import Question

    return Question(chapter)


def measured(chapter: str, values: Mapping[object, object], **numbers: object) -> "Instrument":
    """Return the chapter's own numbers beside the reader's guess, and the question why they differ.

    ``values`` are numbers (or words) by the keys of the question's items; one that is left out, ``None`` or not finite
    counts as not measured, and what the question does not ask for is left out, so that a reader may measure more.
    ``numbers`` fill the gaps of the reasons. Raises ``ValueError`` if no key is one of the question's, for a word that
    was no choice, and for a number that is missing or not asked for.
    """
    from resnet_edu.lab.instruments import instrument
    from resnet_edu.lab.widget import Question

    question = Question.asked.get(chapter)
    guess = question.given if question and question.given else None
    return instrument("predict", chapter=chapter, measured=values, guess=guess, numbers=numbers)


def recall(name: str, /, **numbers: object) -> "Instrument":
    """Return the recall questions of a chapter, or the one whose id is ``name``, as a cell's last expression.

    ``numbers`` fill the gaps of their texts: a text, or a number, which is written with separators or three
    significant digits. Raises ``ValueError`` for an unknown name and for a number that is missing or not asked for.
    """
    from resnet_edu.lab.instruments import instrument

    return instrument("recall", name=name, numbers=numbers)


# Data


def _options(options: tuple[Option, ...], numbers: Mapping[str, str] | None) -> list[dict]:
    """Return options in an order that their texts fix, so that the right one has no place of its own."""
    filled = [(one, *(_html(text, numbers) for text in (one.text, one.why))) for one in options]
    made = [{"key": one.key, "text": text, "right": one.right, "why": why} for one, text, why in filled]
    return sorted(made, key=lambda one: one["key"])


def _html(text: str, numbers: Mapping[str, str] | None, block: bool = False) -> str:
    made = markup(text, block)
    return made if numbers is None else fill(made, numbers)


def recall_data(one: Recall, numbers: Mapping[str, str] | None) -> dict:
    """Return a question for the front end; without ``numbers`` its gaps stay, and the front end fills them."""
    data = {"id": one.id, "version": one.version, "text": _html(one.text, numbers)}
    data["answer"] = _html(one.answer, numbers, block=True)
    if numbers is not None and one.gaps:
        data["numbers"] = {name: numbers[name] for name in sorted(one.gaps)}
    if one.option:
        return {**data, "options": _options(one.option, numbers)}
    data["number"] = one.number
    if isinstance(one.number, str) and numbers is not None:
        data["number"] = _as_number(one, numbers[one.number[1:-1]])
    rules = {"tolerance": one.tolerance, "ratio": one.ratio, "unit": one.unit}
    data |= {key: value for key, value in rules.items() if value not in (None, "")}
    return {**data, "near": [[number, _html(why, numbers)] for number, why in one.near]}


def _as_number(one: Recall, text: str) -> float:
    try:
        return float(text.replace(",", "").replace("−", "-"))
    except ValueError:
        raise ValueError(f"{one.id}: the answer {one.number} must be filled with a number, got {text!r}") from None


def predict_data(one: Prediction, numbers: Mapping[str, str] | None = None) -> dict:
    """Return a question for a guess; with ``numbers`` its reasons are in it."""
    items = [_item_data(item) for item in one.item]
    data = {"id": one.id, "version": one.version, "text": markup(one.text), "unit": one.unit, "scale": one.scale}
    return {**data, "items": items, "reasons": [] if numbers is None else _options(one.reason, numbers)}


def _item_data(item: Item) -> dict:
    kept = ("min", "max", "step", "start")
    shape = {"choices": list(item.choices)} if item.choices else {key: getattr(item, key) for key in kept}
    return {"key": item.key, "label": markup(item.label), **{k: v for k, v in shape.items() if v is not None}}


def measured_values(one: Prediction, values: Mapping[object, object]) -> dict[str, float | str | None]:
    """Return what was measured by the keys of the items; ``None`` where nothing was."""
    given = {str(key): value for key, value in values.items()}
    known = [item.key for item in one.item]
    if not given.keys() & set(known):
        raise ValueError(
            f"{one.id} asks for {', '.join(map(repr, known))}; got {', '.join(map(repr, given)) or 'nothing'}"
        )
    found: dict[str, float | str | None] = {}
    for item in one.item:
        value = given.get(item.key)
        if item.choices:
            if value is not None and value not in item.choices:
                raise ValueError(f"{one.id}, {item.key}: must be one of {', '.join(item.choices)}, got {value!r}")
            found[item.key] = value
        else:
            number = float("nan") if value is None else float(value)
            found[item.key] = number if abs(number) < float("inf") else None
    return found


def recall_figure(name: str, numbers: Mapping[str, object]) -> tuple[str, dict]:
    """Return what stands in place of recall questions, and their data."""
    chapter, _, single = name.partition("/")
    asked = questions.read(chapter).recall
    chosen = [one for one in asked if (one.id == name if single else not one.alone)]
    if not chosen:
        known = ", ".join(one.id for one in asked) or "none"
        raise ValueError(f"there is no recall question {name!r}; the chapter has {known}")
    texts = check_numbers(frozenset().union(*(one.gaps for one in chosen)), numbers, f"recall({name!r})")
    data = [recall_data(one, texts) for one in chosen]
    numbered = [f"{number}. " if len(data) > 1 else "" for number in range(1, len(data) + 1)]
    still = "".join(_recall_still(one, number) for one, number in zip(data, numbered, strict=True))
    return still + _answers([one["answer"] for one in data]), {
        "title": "" if single else "Recall",
        "questions": data,
    }


def predict_figure(
    chapter: str, values: Mapping | None, guess: Mapping | None, numbers: Mapping[str, object]
) -> tuple[str, dict]:
    """Return what stands in place of the question for a guess, or with ``values`` of the comparison, and its data."""
    one = questions.read(chapter).predict
    if one is None:
        raise ValueError(f"the chapter {chapter!r} asks for no guess: questions/{chapter}.toml has no [predict]")
    if values is None:
        return _predict_still(one), {"chapter": chapter, **predict_data(one)}
    texts = check_numbers(one.gaps, numbers, f"measured({chapter!r}, …)")
    data = {"chapter": chapter, **predict_data(one, texts), "measured": measured_values(one, values), "guess": guess}
    return _measured_still(data), data


def progress_figure() -> tuple[str, dict]:
    """Return the page of the reader's progress: every chapter with the questions that it asks."""
    chapters, asking = [], questions.read_all()
    for name, title in CHAPTERS.items():
        chapter = asking.get(name, questions.Chapter(name, None, ()))
        asked = [_moved(recall_data(one, None)) for one in chapter.recall]
        predict = chapter.predict and {"id": chapter.predict.id, "version": chapter.predict.version}
        chapters.append({"name": name, "title": title, "predict": predict, "recall": asked})
    words = "With JavaScript, this page shows which chapters you have worked through, and asks again what you missed."
    return f"<p>{words}</p>", {"chapters": chapters}


def _moved(data: object) -> object:
    """Return a question with its links as they lead from the book's root."""
    if isinstance(data, dict):
        return {key: _moved(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_moved(one) for one in data]
    if isinstance(data, str):
        return re.sub(r'href="([^"]*)"', lambda match: f'href="{urljoin("chapters/", match[1])}"', data)
    return data


# Without JavaScript


def _answers(texts: list[str]) -> str:
    """Return answers for the end of a printed page."""
    listed = "".join(f"<li>{text}</li>" for text in texts)
    return f'<div class="rl-answers" {_HIDDEN}><p><strong>Answers</strong></p><ol>{listed}</ol></div>'


def _folded(summary: str, text: str) -> str:
    return f"<details><summary>{summary}</summary>{text}</details>"


def _recall_still(one: dict, number: str) -> str:
    options = "".join(f"<li>{option['text']}</li>" for option in one.get("options", ()))
    listed = f"<ul>{options}</ul>" if options else ""
    return f"<div><p><strong>{number}{one['text']}</strong></p>{listed}{_folded('Answer', one['answer'])}</div>"


def _predict_still(one: Prediction) -> str:
    def blank(item: Item) -> str:
        return " / ".join(map(html.escape, item.choices)) or f"____ {html.escape(one.unit)}"

    listed = "".join(f"<li>{markup(item.label)}: {blank(item)}</li>" for item in one.item)
    return f"<p>{markup(one.text)}</p><ul>{listed}</ul>"


def _measured_still(data: dict) -> str:
    rows = "".join(
        f'<tr><th scope="row">{item["label"]}</th><td>{shown(data["measured"][item["key"]], data["unit"])}</td></tr>'
        for item in data["items"]
    )
    head = '<thead><tr><th scope="col">asked</th><th scope="col">measured</th></tr></thead>'
    table = f"<table><caption>What this page measured.</caption>{head}<tbody>{rows}</tbody></table>"
    verdicts = [f"{'It holds' if one['right'] else 'It does not hold'}. {one['why']}" for one in data["reasons"]]
    listed = "".join(
        f"<li>{one['text']}{_folded('Does this hold?', verdict)}</li>"
        for one, verdict in zip(data["reasons"], verdicts, strict=True)
    )
    why = "<p><strong>If your guess was off: why the gap?</strong></p>"
    return f"{table}{why}<ol>{listed}</ol>{_answers(verdicts)}"


def shown(value: float | str | None, unit: str) -> str:
    """Return a measured value with its unit; ``None`` is a dash."""
    if value is None:
        return "–"
    number = not isinstance(value, str) and 1e-3 <= abs(value) < 1e6
    text = f"{float(f'{value:.3g}'):,g}" if number else questions.spoken(value)  # 0.1 and not 0.100
    return html.escape(f"{text} {'' if isinstance(value, str) else unit}".strip())
