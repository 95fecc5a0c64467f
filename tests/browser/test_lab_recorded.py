"""The instrument that shows the run bank: its numbers are the records', a press shows a record, and the CSV has all."""

import csv
import json
import re
import warnings

import pytest
from lab_page import faults, open_lab, static  # noqa: F401

from resnet_edu import lab, runs
from resnet_edu.lab.records import bank_data

# Scripts of the bank end in an error, as where the file is missing.
NO_BANK = """const append = HTMLHeadElement.prototype.append;
HTMLHeadElement.prototype.append = function (script) {
  if (script.src.includes("lab-bank")) queueMicrotask(() => script.onerror());
  else append.call(this, script);
};"""
PLAIN = "depth-56_shortcut-none_seed-0"


def test_the_packed_bank_holds_every_usable_record_with_its_numbers_and_its_origin():
    packed = json.loads(json.dumps(bank_data(), allow_nan=False))
    assert [one["name"] for one in packed["experiments"]] == runs.names()
    for one in packed["experiments"]:
        records = runs.load(one["name"])
        assert one["run"] == [record["run"] for record in records]
        for index, record in enumerate(records):
            for metric, values in one["numbers"].items():
                if values[index] is not None:
                    assert values[index] == runs.number(record, metric)
            settings = one["shared"] | {key: values[index] for key, values in one["settings"].items()}
            kept = {key: value for key, value in settings.items() if value is not None}
            theirs = {key: value for key, value in record["settings"].items() if value is not None and key != "measure"}
            assert kept == theirs
            origin = packed["origins"][one["origin"][index]]
            assert (origin["device"], origin["code"]) == (record["device"], record["code"])
            assert one["command"][index].replace("RUN", record["run"]) == record["command"]
            assert (one["started"][index], one["diverged"][index]) == (record["started"], record["diverged"])


def test_a_damaged_record_is_left_out_and_an_unknown_experiment_is_kept(tmp_path):
    record = next(iter(runs.load("depth")))
    for name in ("a", "b"):
        runs.write(record | {"experiment": "mine", "run": name}, tmp_path)
    (tmp_path / "mine" / "a.json").write_text("{")
    (tmp_path / "empty").mkdir()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        packed = bank_data(tmp_path)
    (one,) = packed["experiments"]
    assert one["run"] == ["b"] and one["title"] == "mine" and "a.json differs from its checksum" in str(said[0].message)


def choose(page, label, value):
    page.get_by_role("combobox", name=label, exact=True).select_option(value)


def test_a_reader_who_doubts_a_number_finds_its_run(open_lab, tmp_path):
    page = open_lab(lab.instrument("recorded-results"))
    page.get_by_role("status").wait_for()
    assert "140 of 140 runs" in page.get_by_role("status").inner_text()
    assert page.locator(".rl-bank .rl-dot:not(.rl-mean)").count() == 140
    record = next(one for one in runs.load("depth") if one["run"] == PLAIN)
    choose(page, "Record", PLAIN)
    shown = page.locator(".rl-record").inner_text()
    assert f"training error, %: {record['epochs']['train_error'][-1]}" in shown
    assert f"resnet-edu runs record depth --only {PLAIN}" in shown and record["device"] in shown
    assert f"resnet_edu/bank/depth/{PLAIN}.json" in shown and record["code"] in shown
    point = page.locator(".rl-bank .rl-dot:not(.rl-mean)").last.bounding_box()  # a press on a point, at its edge
    page.mouse.click(point["x"] + point["width"], point["y"] + point["height"] / 2)
    assert PLAIN not in page.get_by_role("region", name="Record").inner_text()
    with page.expect_download() as got:
        page.get_by_role("button", name="Download CSV").click()
    rows = list(csv.DictReader(got.value.path().read_text().splitlines()))
    assert len(rows) == 140 and got.value.suggested_filename == "depth.csv"
    (mine,) = [row for row in rows if row["run"] == PLAIN]
    assert float(mine["train_error"]) == record["epochs"]["train_error"][-1] and mine["shortcut"] == "none"
    page.get_by_text("Means as a table").click()
    sample = runs.load("depth").select(depth=56, shortcut="A").last("train_error")
    assert (
        f"{sample.mean:.2f} ± " in page.locator("table").inner_text()
        and f"(n = {sample.n})" in page.locator("table").inner_text()
    )


def test_every_experiment_and_number_can_be_drawn_and_the_address_keeps_the_choice(open_lab):
    page = open_lab(lab.instrument("recorded-results"))
    page.get_by_role("status").wait_for()
    for name in runs.names():
        choose(page, "Experiment", name)
        for option in page.get_by_role("combobox", name="Number", exact=True).locator("option").all():
            choose(page, "Number", option.get_attribute("value"))
            assert page.locator(".rl-bank .rl-dot").count() > 0, name
            assert "NaN" not in page.locator(".rl-bank").inner_html()
    choose(page, "Experiment", "normalization")
    total = len(runs.load("normalization"))
    only = runs.load("normalization").select(normalization="none")
    choose(page, "Only normalization", "none")
    status = page.get_by_role("status").inner_text()
    assert f"{len(only)} of {total} runs" in status
    lost = sum(bool(one["diverged"]) for one in only)
    assert f"{lost} without this number, {lost} of them diverged" in status
    choose(page, "Along", "learning_rate")
    assert re.search(r"#recorded-results\?experiment=normalization&.*along=learning_rate", page.url)
    page.get_by_role("switch", name="Logarithmic").click()
    assert "NaN" not in page.locator(".rl-bank").inner_html()
    again = open_lab(lab.instrument("recorded-results"), at=page.url[page.url.index("#") :], name="again.html")
    again.get_by_role("status").wait_for()
    assert again.get_by_role("combobox", name="Along").input_value() == "learning_rate"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible_and_fits_a_phone(open_lab, theme):
    page = open_lab(lab.instrument("recorded-results"), theme=theme, width=390)
    page.get_by_role("status").wait_for()
    choose(page, "Record", PLAIN)
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_without_javascript_and_without_the_bank_a_figure_stands_there(open_lab):
    page = open_lab(lab.instrument("recorded-results"), java_script_enabled=False)
    assert page.locator("figure img").first.is_visible()
    page = open_lab(lab.instrument("recorded-results"), name="nobank.html", start=NO_BANK)
    page.get_by_role("alert").wait_for()
    assert "lab-bank.js could not be loaded" in page.get_by_role("alert").inner_text()
