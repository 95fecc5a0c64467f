"""Every page of the built book in a real browser, with every outside request blocked."""

import re
import zlib
from contextlib import ExitStack

import pytest
import site_check
import yaml
from axe_playwright_python.base import AXE_SCRIPT
from axe_playwright_python.sync_playwright import Axe
from conftest import ROOT
from site_check import Reader, Way


@pytest.fixture(scope="module")
def reader(browser, html):
    with site_check.served(html) as address:
        yield Reader(browser, html, address)


@pytest.fixture
def open_page(reader):
    """Open a page of the book from disk; return it and the list of what went wrong."""
    with ExitStack() as stack:

        def opened(name, scheme="light", width=1280, storage=True, **options):
            way = Way("disk", scheme, served=False, storage=storage)
            page, found = stack.enter_context(reader.open(name, way, width, **options))
            return page, found.problems

        yield opened


def until(page, condition, *values):
    """Wait for a condition; Playwright's own way evaluates text in the page, which the policy forbids."""
    for _ in range(600):
        if page.evaluate(condition, *values):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"waited in vain: {condition}")


FOLDERS = [ROOT / "book" / kind for kind in ("chapters", "exercises", "appendix")]
PROSE = [path for folder in FOLDERS for path in folder.iterdir() if path.suffix in (".md", ".ipynb")]
PROSE.append(ROOT / "book" / "your-progress.md")

# Every page of the table of contents, and those that the tool adds.
TOC = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
CHAPTERS = [chapter["file"] for part in TOC["parts"] for chapter in part["chapters"]]
PAGES = ["index.html", *(f"{name}.html" for name in CHAPTERS), "search.html"]


def test_every_page_is_in_the_table_of_contents(html):
    sources = {str(path.relative_to(ROOT / "book").with_suffix("")) for path in PROSE}
    assert sources == set(CHAPTERS)
    assert set(site_check.pages(html)) == set(PAGES)


@pytest.mark.parametrize("way", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_page_is_whole_light_and_accessible(reader, name, way):
    """Served with storage, and from disk without; `make site-check` does so in more ways and widths."""
    assert reader.check(name, site_check.WAYS[way], widths=(1280, 390)).problems == []


# On white grey passes where it is large or bold and not small alone, silver nowhere; what lies around changes that.
TEXTS = [
    f"<p style='{style}'>{text}</p>"
    for style in ("", "color: gray", "color: silver", "color: gray; font-size: 2rem", "color: gray; font-size: 20px")
    for text in ("<span style='opacity: 0'>unseen</span>", "<b>a bold text</b>", "one text")
]
AROUND = [
    "", "background: black", "background: #ddd", "opacity: 0.4",
    "position: relative; top: 5px", "position: absolute; top: 0; right: 0; background: navy",
    "position: absolute; top: 0; left: 0", "text-shadow: 0 0 6px red",
    "text-shadow: 1px 0 black, -1px 0 black, 0 1px black, 0 -1px black", "background: #ddd; mix-blend-mode: difference",
    "-webkit-text-stroke: 1px white", "-webkit-text-fill-color: silver",
]  # fmt: skip
OVER_BLACK = "<div style='position: relative'><div style='background: black; height: 60rem'></div>{}</div>"


def test_contrast_of_texts_that_look_alike_is_what_axe_measures_of_each(browser):
    """In either order, for the first of a look is measured, and the others may not take over what it was told."""
    page = browser.new_page()
    around = [f"<div style='{style}'><div>{''.join(TEXTS)}</div></div>" for style in AROUND]
    around += [f"<div style='{style}'>{''.join(reversed(TEXTS))}</div>" for style in reversed(AROUND)]
    around.append(OVER_BLACK.format(f"<div style='position: absolute; top: 0'>{''.join(TEXTS)}</div>"))
    page.set_content(f"<body style='background: white'>{''.join(around)}")
    kinds = ("violations", "incomplete", "passes")
    found = {}
    for script in (AXE_SCRIPT, AXE_SCRIPT + site_check.ALIKE):
        said = Axe(script).run(page, options=site_check.AXE | {"resultTypes": kinds, "runOnly": ["color-contrast"]})
        found[script] = {
            kind: {
                (*one["target"], one["any"][0]["data"].get("contrastRatio"))
                for rule in said.response[kind]
                for one in rule["nodes"]
            }
            for kind in kinds
        }
    page.close()
    each, alike = found.values()
    assert each == alike
    assert all(len(each[kind]) > 20 for kind in kinds), {kind: len(each[kind]) for kind in kinds}


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", site_check.RATED)
def test_lines_stay_where_they_are_when_fonts_come_late(reader, name, width):
    assert reader.shift(name, width) < site_check.MOST_SHIFT


@pytest.mark.parametrize("name", site_check.RATED)
def test_text_has_its_width_before_the_contents_beside_it_are_read(open_page, name):
    """They come after it in the page; on a slow line the browser draws the text first."""
    page, _ = open_page(name)
    width = "() => document.querySelector('.bd-article').getBoundingClientRect().width"
    before = page.evaluate(width)
    assert page.evaluate("() => document.querySelectorAll('.bd-sidebar-secondary').length") == ("index" not in name)
    page.evaluate("() => document.querySelector('.bd-sidebar-secondary')?.remove()")
    assert page.evaluate(width) == before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_show_the_version_for_the_mode(open_page, scheme):
    page, _ = open_page("chapters/degradation.html", scheme)
    assert page.locator("figure.rf").count() >= 5
    for figure in page.locator("figure.rf:not(.resnet-lab-figure *)").all():
        shown = [image for image in figure.locator("img").all() if image.is_visible()]
        assert len(shown) == 1 and f"rf-{scheme}" in shown[0].get_attribute("class")
        assert len(shown[0].get_attribute("alt")) > 20


@pytest.mark.parametrize("width", [1280, 390])
def test_a_dark_figure_has_no_light_frame(open_page, width):
    """The theme puts one around pictures that know no dark."""
    page, _ = open_page("chapters/degradation.html", "dark", width)
    (shown,) = [image for image in page.locator("figure.rf").nth(1).locator("img").all() if image.is_visible()]
    look = "one => [getComputedStyle(one).backgroundColor, getComputedStyle(one).padding]"
    assert shown.evaluate(look) == ["rgba(0, 0, 0, 0)", "0px"]


def test_a_figure_that_a_reader_reaches_has_been_loaded(open_page):
    page, _ = open_page("chapters/degradation.html")
    last = page.locator("figure.rf:not(.resnet-lab-figure *) img.rf-light").last
    assert last.evaluate("one => [one.complete && one.naturalWidth > 0, one.offsetHeight > 100]") == [False, True]
    last.scroll_into_view_if_needed()
    until(page, "one => one.complete && one.naturalWidth > 100", last.element_handle())


def test_equations_are_set_and_answers_unfold(open_page):
    page, _ = open_page("chapters/degradation.html")
    page.wait_for_selector("mjx-container mjx-assistive-mml math", state="attached")
    answer = page.locator("details:not(.hide):not(.resnet-lab *)").first
    assert not answer.locator("p").first.is_visible()
    answer.locator("summary").click()
    assert answer.locator("p").first.is_visible()


def test_a_page_without_equations_loads_no_mathjax(reader):
    with reader.open("index.html", site_check.WAYS["light"]) as (_, found):
        assert not [path for path in found.files if "mathjax" in path.parts]


def test_front_page_trains_with_the_first_click_and_leads_on(open_page):
    page, problems = open_page("index.html")
    summary = page.locator(".rl-summary")
    assert "Recording of" in summary.inner_text()
    assert page.locator(".rl-curves").bounding_box()["y"] < 500, "the curves stand above the fold"
    page.locator(".rl-primary").first.click()
    until(page, "document.querySelector('.rl-summary').textContent.includes('Training in this browser')")
    until(page, "parseInt(document.querySelector('.rl-at').textContent) > 20")
    until(page, "document.querySelector('.rl-summary').textContent.includes('WebAssembly')")  # the policy lets it run
    assert problems == []
    page.locator(".sd-card").first.click()
    assert page.url.endswith("chapters/depth.html")


def test_without_javascript_the_front_page_shows_a_figure(open_page):
    page, _ = open_page("index.html", java_script_enabled=False)
    assert page.locator("figure.rf img.rf-light").is_visible()
    assert "With JavaScript, this figure is a lab" in page.locator("figure.rf figcaption").inner_text()


@pytest.mark.parametrize("served", [True, False])
def test_what_a_page_does_not_hold_itself_runs_nothing(reader, served):
    """A page's policy stops inline scripts and handlers that got into it, and scripts from elsewhere."""
    with reader.open("index.html", Way("", "light", served, storage=True)) as (page, found):
        page.evaluate("""() => {
          const put = (name, fields) => document.body.append(Object.assign(document.createElement(name), fields));
          put("script", { textContent: "window.ran = 'an inline script'" });
          put("script", { src: "http://example.com/script.js" });
          put("script", { src: "data:text/javascript,window.ran='a script in an address'" });
          put("div", { innerHTML: `<img src="data:," onerror="window.ran = 'a handler'">` });
        }""")
        page.wait_for_timeout(300)
        assert page.evaluate("window.ran ?? null") is None
        assert len([one for one in found.problems if "Content Security Policy" in one]) == 4, found.problems
        assert not [one for one in found.problems if one.startswith("asks for")]


def test_a_reader_who_comes_again_searches_the_newest_text(html):
    """A browser keeps a file by its address, which therefore names what is in it, as Sphinx's others do."""
    version = re.search(r"search-text\.js\?v=([0-9a-f]{8})", (html / "search.html").read_text(encoding="utf-8"))[1]
    assert int(version, 16) == zlib.crc32((html / "_static" / "search-text.js").read_bytes())


def test_where_storage_is_blocked_menu_search_and_colours_live(open_page):
    page, problems = open_page("chapters/depth.html", width=390, storage=False)
    page.locator(".primary-toggle").first.click()
    menu = page.locator("#pst-primary-sidebar-modal")
    assert menu.get_attribute("open") is not None and menu.get_by_text("Many paths").is_visible()
    page.keyboard.press("Escape")
    root, switch = page.locator("html"), page.locator(".theme-switch-button:visible").first
    seen = set()
    for _ in range(3):
        switch.click()
        seen.add((root.get_attribute("data-mode"), root.get_attribute("data-theme")))
    assert seen == {("light", "light"), ("dark", "dark"), ("auto", "light")}
    page.locator(".search-button:visible").first.click()
    page.locator("#pst-search-dialog input").fill("degradation")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-results li a")
    assert problems == []


@pytest.mark.parametrize("words", ["real handwriting 8 × 8 pixels", "which error must you look at"])
def test_search_from_disk_finds_captions_and_questions_and_quotes_them(open_page, words):
    page, problems = open_page(f"search.html?q={words}")
    found = page.locator("#search-results li", has=page.locator("a[href*='chapters/degradation']")).first
    found.wait_for()
    quoted = found.locator(".context").inner_text()
    assert words.split()[-1] in quoted and "Search" not in quoted and "Ctrl" not in quoted
    assert found.locator("mark").count() >= 1
    assert problems == []


@pytest.mark.parametrize("query", ["<img src=x onerror=window.ran=1>", "gradient (.*)[%5C"])
def test_search_words_are_words_and_nothing_else(open_page, query):
    page, problems = open_page(f"search.html?q={query}")
    page.wait_for_selector("#search-results .search-summary:not(:empty)")
    page.wait_for_timeout(200)
    assert page.locator("#search-results li .context").count() > 0 or "<img" in query
    assert page.evaluate("window.ran ?? null") is None and not page.locator("#search-results img").count()
    assert problems == []


def test_a_notebook_is_saved_and_not_shown_as_text(open_page):
    page, _ = open_page("chapters/depth.html")
    page.locator(".dropdown-download-buttons > button").click()
    with page.expect_download() as saved:
        page.locator(".dropdown-download-buttons a", has_text=".ipynb").click()
    assert saved.value.suggested_filename == "depth.ipynb"


def test_the_front_pages_title_stands_once(html):
    assert re.search(r"<title>(.*?)</title>", (html / "index.html").read_text())[1].count("Residual Networks") == 1


def test_on_paper_a_dark_page_is_black_on_white_with_its_answers_and_figures(open_page):
    """What a browser does before it prints; the pixels are those of the printed page."""
    page, _ = open_page("chapters/degradation.html", "dark")
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    title = page.locator("article h1").first
    assert title.is_visible()
    assert title.evaluate("one => getComputedStyle(one).color") in ("rgb(0, 0, 0)", "rgb(31, 35, 40)")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("article details:not(.hide):not(.resnet-lab *)").first.locator("p").first.is_visible()
    assert not page.locator(".bd-header-article, .rl-bar, #pst-primary-sidebar").first.is_visible()
    figure = page.locator("figure.rf:not(.resnet-lab-figure *)").last
    assert figure.locator("img.rf-light").is_visible() and not figure.locator("img.rf-dark").is_visible()
    until(page, "[...document.querySelectorAll('img.rf-light.rf-wide')].every((one) => one.naturalWidth)")
    chart = page.locator(".rl-chart svg").first
    assert chart.evaluate(
        "one => one.getBoundingClientRect().right <= one.parentElement.getBoundingClientRect().right + 1"
    )
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert not page.locator("article details:not(.hide):not(.resnet-lab *)").first.get_attribute("open")
