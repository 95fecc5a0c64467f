"""Every page of the built book in a real browser, with every outside request blocked."""

import re
from urllib.parse import unquote

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from conftest import ROOT, problems_of


@pytest.fixture
def open_page(browser, html):
    """Open a page of the book from disk; return it and the list of what went wrong."""
    contexts = []

    def opened(name, scheme="light", width=1280, **options):
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        problems = problems_of(page)
        context.route(
            lambda url: url.startswith("http"), lambda route: (problems.append(route.request.url), route.abort())
        )
        page.goto((html / name).as_uri())
        page.wait_for_load_state("load")
        page.wait_for_timeout(800)
        return page, problems

    yield opened
    for context in contexts:
        context.close()


FOLDERS = [ROOT / "book" / kind for kind in ("chapters", "exercises", "appendix")]
PROSE = [path for folder in FOLDERS for path in folder.iterdir() if path.suffix in (".md", ".ipynb")]

# Every page of the table of contents, and those that the tool adds.
TOC = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
CHAPTERS = [chapter["file"] for part in TOC["parts"] for chapter in part["chapters"]]
PAGES = ["index.html", *(f"{name}.html" for name in CHAPTERS), "search.html"]


def test_every_page_is_in_the_table_of_contents(html):
    sources = {str(path.relative_to(ROOT / "book").with_suffix("")) for path in PROSE}
    assert sources == set(CHAPTERS)
    built = {str(path.relative_to(html)) for path in html.rglob("*.html") if "_static" not in path.parts}
    assert built == set(PAGES)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_page_is_whole_and_accessible_with_the_network_cut(open_page, name, scheme):
    page, problems = open_page(name, scheme)
    assert page.locator("html").get_attribute("data-theme") == scheme
    assert problems == []
    serious = [
        (found["id"], [node["html"][:200] for node in found["nodes"]][:3])
        for found in Axe().run(page).response["violations"]
        if found["impact"] in ("serious", "critical")
    ]
    assert serious == []


@pytest.mark.parametrize("name", PAGES)
def test_a_phone_shows_the_page_without_sideways_scroll_and_with_legible_figures(open_page, name):
    page, _ = open_page(name, width=390)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    shown = page.locator("figure.rf > img").evaluate_all(
        "all => all.filter(one => one.offsetWidth).map(one => [one.src, one.getBoundingClientRect().width, one.alt])"
    )
    for source, width, alt in shown:
        svg = unquote(source)
        points = [100 * float(scale) for scale in re.findall(r"scale\(([\d.]+) -", svg)]  # font sizes, exponents aside
        across = float(re.search(r"viewBox='0 0 ([\d.]+)", svg)[1])  # points
        assert min(points, default=99) * width / across >= 10, alt


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_show_the_version_for_the_mode(open_page, scheme):
    page, _ = open_page("chapters/degradation.html", scheme)
    assert page.locator("figure.rf").count() >= 5
    for figure in page.locator("figure.rf:not(.resnet-lab-figure *)").all():
        shown = [image for image in figure.locator("img").all() if image.is_visible()]
        assert len(shown) == 1 and f"rf-{scheme}" in shown[0].get_attribute("class")
        assert len(shown[0].get_attribute("alt")) > 20


def test_equations_are_set_and_answers_unfold(open_page):
    page, _ = open_page("chapters/degradation.html")
    page.wait_for_selector("mjx-container")
    answer = page.locator("details:not(.hide):not(.rl *)").first
    assert not answer.locator("p").first.is_visible()
    answer.locator("summary").click()
    assert answer.locator("p").first.is_visible()


def test_front_page_trains_with_the_first_click_and_leads_on(open_page):
    page, problems = open_page("index.html")
    summary = page.locator(".rl-summary")
    assert "Recording of" in summary.inner_text()
    assert page.locator(".rl-curves").bounding_box()["y"] < 500, "the curves stand above the fold"
    page.locator(".rl-primary").first.click()
    page.wait_for_function("document.querySelector('.rl-summary').textContent.includes('Training in this browser')")
    page.wait_for_function("parseInt(document.querySelector('.rl-at').textContent) > 20")
    assert problems == []
    page.locator(".sd-card").first.click()
    assert page.url.endswith("chapters/depth.html")


def test_without_javascript_the_front_page_shows_a_figure(open_page):
    page, _ = open_page("index.html", java_script_enabled=False)
    assert page.locator("figure.rf img.rf-light").is_visible()
    assert "With JavaScript, this figure is a lab" in page.locator("figure.rf figcaption").inner_text()
