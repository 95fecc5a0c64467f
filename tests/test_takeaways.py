"""What the book is besides a site: one file for a room without internet, and one on paper."""

import json
import re
import zipfile

import pytest
from conftest import ROOT, problems_of


@pytest.fixture(scope="module")
def bundle(html, tmp_path_factory):
    import make_bundle

    path = tmp_path_factory.mktemp("bundle") / "book.zip"
    make_bundle.make(path)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(path.parent)
    return path.parent / "book"


def test_the_bundle_holds_site_notebooks_and_wheel(bundle):
    start = (bundle / "START-HERE.html").read_text()
    (wheel,) = (bundle / "site" / "wheels").glob("resnet_edu-*.whl")
    assert wheel.name in start and wheel.stat().st_size < 2e6
    for link in re.findall(r'href="([^"]+)"', start):
        assert (bundle / link).exists()
    for path in bundle.rglob("notebooks/**/*.ipynb"):
        assert not any(cell.get("outputs") for cell in json.loads(path.read_text())["cells"])
        text = path.read_text()
        assert "{cite}" not in text and (path.parent / f"../../site/wheels/{wheel.name}").exists()
        for link in re.findall(r"\]\((\.\./[^)#]+)", text):
            assert (path.parent / link).exists(), link
    chapters = {path.stem for path in (ROOT / "book" / "chapters").glob("*.ipynb")}
    assert {path.stem for path in (bundle / "notebooks" / "chapters").iterdir()} == chapters


def test_the_bundle_opens_from_disk_with_search_and_instruments(bundle, browser):
    page = browser.new_page()
    problems = problems_of(page)
    page.goto((bundle / "START-HERE.html").as_uri())
    page.get_by_role("link", name="Open the book").click()
    page.wait_for_selector(".rl-primary")
    page.goto((bundle / "site" / "search.html").as_uri() + "?q=degradation")
    page.wait_for_selector("#search-results li .context")
    page.close()
    assert problems == []


@pytest.fixture(scope="module")
def printed(html, tmp_path_factory):
    import make_pdf
    from pypdf import PdfReader

    path = tmp_path_factory.mktemp("pdf") / "book.pdf"
    make_pdf.make(path)
    return PdfReader(path)


@pytest.mark.slow
def test_the_printed_book_is_tagged_and_has_an_outline_of_all_pages(printed):
    import make_pdf

    assert printed.trailer["/Root"]["/MarkInfo"]["/Marked"] and "/StructTreeRoot" in printed.trailer["/Root"]
    assert printed.trailer["/Root"]["/Lang"] == "en"
    tops = [one.title for one in printed.outline if not isinstance(one, list)]
    _, entries, _ = make_pdf.assemble()
    titles = [title for part, title, name in entries if name]
    bare = {make_pdf.bare(title) for title in tops}
    assert [title for title in titles if make_pdf.bare(title) not in bare] == []


@pytest.mark.slow
def test_the_printed_contents_name_the_pages_where_chapters_begin(printed):
    places = {
        one.title: printed.get_destination_page_number(one) + 1 for one in printed.outline if not isinstance(one, list)
    }
    first = min(page for title, page in places.items() if title not in ("Residual Networks, Measured", "Contents"))
    text = " ".join(printed.pages[number].extract_text() for number in range(1, first - 1))
    text = re.sub(r"\s+", " ", text)
    for title in ("The degradation problem", "Many paths", "Answers"):
        (page,) = [page for name, page in places.items() if name.endswith(title)]
        assert re.search(rf"{title} ?{page}\b", text), title


@pytest.mark.slow
def test_links_of_the_printed_book_lead_within_it(printed):
    inside, outside = 0, set()
    for page in printed.pages:
        for mark in page.get("/Annots", []):
            mark = mark.get_object()
            if "/Dest" in mark or mark.get("/A", {}).get("/S") == "/GoTo":
                inside += 1
            elif mark.get("/A", {}).get("/S") == "/URI":
                outside.add(mark["/A"]["/URI"])
    assert inside > 300
    assert [one for one in outside if one.startswith("file:") and ".html" in one] == []


@pytest.mark.slow
def test_answers_stand_at_the_end_of_the_printed_book(printed):
    texts = [re.sub(r"\s+", " ", page.extract_text()) for page in printed.pages]
    places = {
        one.title: printed.get_destination_page_number(one) for one in printed.outline if not isinstance(one, list)
    }
    answer = "A high test error alone could be overfitting."
    (found,) = [number for number, text in enumerate(texts) if answer in text]
    assert found >= places["Answers"]
