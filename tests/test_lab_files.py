"""The lab's Python side: run files, the bundle, the island."""

import json
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_edu import lab
from resnet_edu.lab import assets, recording


def test_the_recorded_runs_were_made_by_this_engine():
    for record in lab.load_records():
        assert record["versions"]["engine"] == recording.engine_version(), f"record anew with: {recording.COMMAND}"
        assert record["config"] == {**recording.DEFAULTS, **recording.RUNS[record["name"]]}


@given(st.sampled_from(sorted(recording.RUNS)), st.data())
def test_any_change_of_a_run_file_is_noticed(name, data):
    (record,) = lab.load_records(name)
    key = data.draw(st.sampled_from(sorted(record.keys() - {"crc32"})))
    value = record[key]
    changed = (
        value[1:] if isinstance(value, str | list) else {**value, "x": 1} if isinstance(value, dict) else value + 1
    )
    with pytest.raises(ValueError, match="was changed or cut off; record it anew with: python -m resnet_edu.lab"):
        lab.check_record({**record, key: changed})


def test_errors_name_value_rule_and_mend():
    with pytest.raises(ValueError, match=r"no recorded run 'residual-44'; recorded are residual-8, .*plain-110"):
        lab.load_records("residual-44")
    with pytest.raises(ValueError, match=r"no setting 'layers'; it has depth, shortcut"):
        lab.instrument("training", config={"layers": 20})
    with pytest.raises(ValueError, match=r"depth must be one of 8, 20, 32, 56, 110, got 57"):
        lab.record({"depth": 57}, "odd")
    with pytest.raises(ValueError, match="at least one recorded run"):
        lab.instrument("training", shown=())
    with pytest.raises(ValueError, match=r"there is no instrument 'umd'; there are architectures, "):
        lab.bundle("umd")
    with pytest.raises(ValueError, match=r"instrument must be one of 'training', .*, got 'umd'"):
        lab.instrument("umd")
    with pytest.raises(ValueError, match=r"a setting of 'training' must be one of 'id', 'config', .*, got 'colour'"):
        lab.instrument("training", colour="red")


def test_the_bundle_is_the_same_twice_and_asks_for_nothing_from_outside():
    for text in (lab.bundle("training"), *lab.page_scripts().values()):
        text = text.replace("http://www.w3.org/", "")  # names of SVG and MathML, not addresses
        assert not re.search(r"https?://|^\s*import\b|\bimport\(|\bfetch\(|\beval\(", text, re.MULTILINE)
    assert lab.bundle("training") == lab.bundle("training")
    assert lab.bundle("training").rstrip().endswith("export default { render };")


def test_every_module_has_a_scope_of_its_own(monkeypatch, tmp_path, browser):
    """Two modules with the same private names, joined, keep them apart; a clash within one is JavaScript's error."""
    monkeypatch.setattr(assets, "FRONT", tmp_path)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "one.mjs").write_text("const secret = 1;\nexport const one = () => secret;\n")
    two = 'import { one as first } from "./one.mjs";\nconst secret = 2, one = 3;\nexport { sum as two };\n'
    (tmp_path / "parts" / "two.mjs").write_text(f"{two}function sum() {{ return first() + secret + one; }}\n")
    modules = {name: assets.parse(name, (tmp_path / f"{name}.mjs").read_text()) for name in ("parts/one", "parts/two")}
    monkeypatch.setattr(assets, "_read", modules.get)
    assert assets.needed(["parts/two"]) == ["parts/one", "parts/two"]
    joined = assets.join(assets.needed(["parts/two"]))
    assert browser.new_page().evaluate(f'() => {{ const M = {{}};\n{joined}return M["parts/two"].two(); }}') == 6


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("parts/x", 'import { mount } from "../instruments/race.mjs";\n', "must not import instruments/race.mjs"),
        ("engine/x", 'import { html } from "../parts/ui.mjs";\n', "must not import parts/ui.mjs"),
        ("instruments/x", 'import { mount } from "../engine/net.mjs";\n', "must not import engine/net.mjs"),
        ("parts/x", "export default 3;\n", "only imports and exports of names"),
        ("parts/x", 'import "./ui.mjs";\n', "only imports and exports of names"),
    ],
)
def test_arrows_that_point_up_and_odd_imports_are_refused(name, text, words):
    with pytest.raises(ValueError, match=words):
        assets.parse(name, text)


def test_a_circle_of_imports_is_named(monkeypatch):
    text = {"parts/a": 'import { b } from "./b.mjs";\n', "parts/b": 'import { a } from "./a.mjs";\n'}
    monkeypatch.setattr(assets, "_read", lambda name: assets.parse(name, text[name]))
    with pytest.raises(ValueError, match="in a circle: parts/a -> parts/b -> parts/a"):
        assets.needed(["parts/a"])


def test_every_instrument_is_a_file_and_a_line_and_no_function_is_longer_than_a_screen():
    names = {name.partition("/")[2] for name in assets.modules("instruments")}
    assert names == set(lab.INSTRUMENTS)
    for path in assets.FRONT.glob("[eip]*/*.mjs"):
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            if re.match(r"\s*(export )?(async )?function|\s+(async |get |static )?\w+\(.*\) \{$", line):
                indent = len(line) - len(line.lstrip())
                length = next((n for n, end in enumerate(lines[number:]) if re.match(rf" {{{indent}}}\}}", end)), 0)
                assert length <= 80, f"{path.name}, line {number + 1}: {length} lines"


def test_the_islands_data_cannot_end_its_script():
    text = str(lab.instrument("training", id="x</script>"))
    assert text.count("</script>") == 1
    data = json.loads(re.search(r'application/json">(.*)</script>', text, re.DOTALL)[1])
    assert data["id"] == "x</script>"
    assert len(data["records"]) == 10


def test_labels_are_the_data_sets(digits):
    assert lab.digits_data()["labels"][1437:] == "".join(map(str, digits.test.labels.tolist()))


def test_importing_the_lab_stays_light():
    heavy = ("sklearn", "matplotlib", "playwright", "anywidget", "torch")
    code = f"import sys, resnet_edu.lab; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
