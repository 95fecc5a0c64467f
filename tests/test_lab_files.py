"""The lab's Python side: run files, the bundle, the island."""

import json
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resnet_edu import lab
from resnet_edu.lab import recording


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
    with pytest.raises(ValueError, match=r"there is no instrument 'umd'; there are designer, "):
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
