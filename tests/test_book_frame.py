"""What the book's Sphinx extensions put around its pages: policy, pictures, text for the search, address, citation."""

import base64
import gzip
import hashlib
import re
import urllib.request
from types import SimpleNamespace

import address
import found
import page_frame
import pytest
import serve
import yaml
from conftest import ROOT

PAGE = (
    '<html><head><meta charset="utf-8" /><script src="first.js"></script><script>let a = 1;</script></head><body>'
    '<script type="application/json">{"a": 1}</script><button onclick="window.print()">Print</button>'
    '<a href="../_sources/chapters/depth.ipynb" target="_blank">.ipynb</a></body></html>'
)


def sources(page, directive):
    text = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]
    return next(one.split()[1:] for one in text.split("; ") if one.split()[0] == directive)


def test_the_policy_names_inline_scripts_by_hash_and_allows_no_other():
    allowed = sources(page_frame.finish(PAGE, "page"), "script-src")
    expected = base64.b64encode(hashlib.sha256(b"let a = 1;").digest()).decode()
    assert [one for one in allowed if "sha256" in one] == [f"'sha256-{expected}'"], "one script; data is none"
    assert "'unsafe-inline'" not in allowed and "'unsafe-eval'" not in allowed and "'wasm-unsafe-eval'" in allowed
    assert sources(page_frame.finish(PAGE, "page"), "worker-src") == ["blob:"]


def test_the_policy_stands_before_anything_that_it_governs():
    page = page_frame.finish(PAGE, "page")
    assert page.index("Content-Security-Policy") < page.index("<script")


def test_handlers_of_the_theme_are_replaced_and_others_are_reported(caplog):
    page = page_frame.finish(PAGE, "page")
    assert "onclick" not in page and 'data-press="print"' in page
    assert "forbids" not in caplog.text


@pytest.mark.parametrize(
    ("mark", "said"),
    [('<div onmouseover="run()">', "onmouseover"), ('<i class="fa-solid fa-anchor"></i>', "does not draw this icon")],
)
def test_what_would_do_nothing_under_the_policy_is_a_warning(monkeypatch, mark, said):
    warnings = []
    monkeypatch.setattr(page_frame.logger, "warning", lambda text, *values: warnings.append(text % values))
    page_frame.finish(PAGE.replace("</body>", f"{mark}</body>"), "page")
    assert len(warnings) == 1 and said in warnings[0]
    page_frame.finish(PAGE.replace("</body>", "<script>x.onmouseover = 1</script></body>"), "page")
    assert len(warnings) == 1, "code may set handlers"


def test_pictures_go_into_files_that_load_when_they_are_near(tmp_path):
    svg = "%3Csvg viewBox='0 0 460.8 259.2'%3E%3Cpath d='M0 0' stroke='%23000'/%3E%3C/svg%3E"
    body = f'<img class="rf-wide rf-light" alt="A chart." src="data:image/svg+xml,%0A{svg}">' * 2
    made = page_frame.take_out_pictures(body, tmp_path, "../_images/figures")
    (path,) = tmp_path.iterdir()
    assert path.read_text() == "<svg viewBox='0 0 460.8 259.2'><path d='M0 0' stroke='#000'/></svg>"
    one = f'src="../_images/figures/{path.name}" loading="lazy" width="461" height="259"'
    assert made.count(one) == 2 and "data:" not in made and made.count('alt="A chart."') == 2


def test_the_text_for_the_search_is_what_a_reader_reads():
    body = (
        '<h1>Depth<a class="headerlink" href="#x">#</a></h1><p>Deep<em>er</em> is<br>better.</p><script>no()</script>'
        '<details class="hide above"><summary>Show</summary><div><img src="x"><p>code</p></div></details>'
        "<details><summary>Why?</summary><p>Because.</p></details><style>p{}</style><figcaption>A chart</figcaption>"
    )
    assert page_frame.text_of(body) == "Depth Deeper is better. Why? Because. A chart"


def test_a_description_is_the_question_of_the_opening_box():
    box = "<p><strong>The question.</strong> Why?</p><p><strong>You will see</strong> x</p>"
    assert found.describe(f"<h1>T</h1><blockquote>{box}</blockquote>") == "Why?"
    assert found.describe("<h1>Title</h1><p>" + "word " * 60 + "</p>").endswith(" …")
    assert len(found.describe("<h1>Title</h1><p>" + "word " * 60 + "</p>")) <= 160


def test_a_citation_names_the_page_the_book_and_its_address_if_there_is_one():
    book = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    entry = found.bibtex("Many paths", "https://example.org/many.html")
    assert entry.startswith("@incollection{") and entry.count("{") == entry.count("}")
    assert (
        "title = {{Many paths}}" in entry
        and book["title"] in entry
        and "url = {https://example.org/many.html}" in entry
    )
    assert "url" not in found.bibtex(book["title"], None) and found.bibtex(book["title"], None).startswith("@misc{")


def test_a_page_that_was_renamed_leads_on():
    page = found.moved("../chapters/depth.html")
    assert 'content="0; url=../chapters/depth.html"' in page and 'href="../chapters/depth.html"' in page


def test_a_page_with_an_address_names_the_book_and_its_picture(tmp_path, monkeypatch):
    monkeypatch.setenv("BOOK_URL", "https://example.org/book")
    config = SimpleNamespace(html_title="The book", project="Project name not set")  # Sphinx knows no name
    address = "https://example.org/book/chapters/depth.html"
    context = {"title": "1. Depth", "body": "<p>What does depth buy? Much.</p>", "pageurl": address}
    found.add(SimpleNamespace(outdir=tmp_path, config=config), "chapters/depth", "page.html", context, object())
    assert '<meta property="og:site_name" content="The book" />' in context["metatags"]
    assert "not set" not in context["metatags"] and address in context["bibtex"]
    picture = re.search(r'og:image" content="https://example.org/book/([^"]*)"', context["metatags"])[1]
    assert (tmp_path / picture).exists()


def test_a_card_is_a_picture_of_the_size_that_cards_have(tmp_path):
    from PIL import Image

    found.draw_card(
        tmp_path / "cards" / "one.png", "The book", "A rather long title of a chapter of the book", "Why? " * 30
    )
    with Image.open(tmp_path / "cards" / "one.png") as picture:
        assert picture.size == (1200, 630)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"BOOK_URL": "https://example.org/book/"}, "https://example.org/book"),
        ({"BOOK_URL": "https://example.org", "GITHUB_REPOSITORY": "a/b"}, "https://example.org"),
        ({"GITHUB_REPOSITORY": "Someone/resnet"}, "https://someone.github.io/resnet"),
        ({"GITHUB_REPOSITORY": "someone/someone.github.io"}, "https://someone.github.io"),
    ],
)
def test_the_address_comes_from_one_place(monkeypatch, variables, expected):
    for name in ("BOOK_URL", "GITHUB_REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert address.site() == expected


def test_pages_are_rated_as_a_site_serves_them(tmp_path):
    (tmp_path / "page.html").write_text("words " * 999)
    (tmp_path / "font.woff2").write_bytes(b"packed already")
    with serve.served(tmp_path, handler=serve.Published) as address:

        def ask(name, **headers):
            with urllib.request.urlopen(urllib.request.Request(address + name, headers=headers)) as answer:
                return answer.read(), answer.headers["Content-Encoding"], answer.headers["Content-Type"]

        packed, coding, kind = ask("page.html", **{"Accept-Encoding": "gzip, br"})
        assert (gzip.decompress(packed), coding, kind) == (b"words " * 999, "gzip", "text/html")
        assert ask("page.html")[:2] == (b"words " * 999, None)
        assert ask("font.woff2", **{"Accept-Encoding": "gzip"})[:2] == (b"packed already", None)
