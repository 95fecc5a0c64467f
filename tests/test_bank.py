"""The shipped records: sound, made from the present definitions, and bearing out what the pages claim."""

import json
import re
from html import unescape

import pytest

from resnet_edu import experiments, runs
from resnet_edu.figures.bank import Quote

LIMIT = 10_000_000  # bytes of the whole bank


def test_every_file_of_the_bank_is_whole_and_listed():
    assert runs.verify() == []
    assert sum(path.stat().st_size for path in runs.BANK.rglob("*.json")) < LIMIT


@pytest.mark.parametrize("name", experiments.names())
def test_every_run_is_recorded_from_the_definition_and_every_claim_holds(name):
    assert experiments.load(name).problems() == []


def test_every_record_says_where_it_is_from():
    for name in runs.names():
        for record in runs.load(name):
            assert record["command"].startswith(f"resnet-edu runs record {name} --only {record['run']}")
            assert record["device"] and record["data"]["checksum"] and record["versions"]["torch"] and record["code"]


def test_the_numbers_on_the_pages_are_those_of_the_records(html):
    text = "".join(page.read_text(encoding="utf-8") for page in html.rglob("*.html"))
    found = [tuple(map(unescape, pair)) for pair in re.findall(r'<data value="([^"]+)">([^<]*)</data>', text)]
    assert len(found) > 10
    assert {json.loads(source)["experiment"] for source, _ in found} <= set(experiments.names())
    for source, shown in found:
        assert str(Quote.again(source)) == shown, source
