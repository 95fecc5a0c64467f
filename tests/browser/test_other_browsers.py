"""The built book in Firefox and WebKitGTK, from disk: pages, colours, search, training, a cut, a guess, a download.

``make test-browsers`` installs both where it can; a browser that is not installed is skipped, and says what is missing.
"""

import re
import time

import pytest
from webdriver import Firefox, WebKit

pytestmark = pytest.mark.slow
LATER = "const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));"
WAIT = f"""{LATER} const until = async (what, look, seconds = 100) => {{
  for (let tries = 0; tries < 10 * seconds; tries++) {{
    const found = look();
    if (found) return found;
    await later(100);
  }}
  throw new Error(`waited in vain for ${{what}}`); }};
  const one = (selector) => document.querySelector(selector);"""


def started(kind, folder, **options):
    if not kind.found():
        pytest.skip(f"{kind.__name__} is not installed; on Debian: apt-get install {kind.needs}")
    return kind(folder, **options)


@pytest.fixture(scope="module", params=[Firefox, WebKit])
def other(request, tmp_path_factory):
    browser = started(request.param, tmp_path_factory.mktemp("profile") / "p")
    yield browser
    browser.close()


@pytest.fixture
def opened(other, html):
    """Open a page from disk; return what runs JavaScript in it."""

    def go(name):
        other.errors.clear()
        other.go((html / name.partition("?")[0]).as_uri() + "".join(name.partition("?")[1:]))
        return lambda body: other.run(WAIT + body)

    yield go
    assert other.errors == []


@pytest.mark.parametrize("name", ["index.html", "chapters/degradation.html", "chapters/lab.html", "appendix/api.html"])
def test_pages_stand(opened, name):
    run = opened(name)
    run("""const places = () => [...document.querySelectorAll(".resnet-lab")];
           await until("the page", () => document.readyState === "complete");
           await until("instruments", () => places().every((place) => place.querySelector(".rl")));
           await window.MathJax?.startup.promise;""")
    assert run("return document.querySelectorAll('.resnet-lab').length === document.querySelectorAll('.rl').length")
    assert run("return [...document.querySelectorAll('.math')].every((one) => one.querySelector('mjx-container'))")
    assert run("return document.documentElement.scrollWidth <= innerWidth")


def test_colours_change(opened):
    run = opened("index.html")
    seen = run("""const seen = []; for (let n = 0; n < 3; n++) { one(".theme-switch-button").click();
      seen.push(document.documentElement.dataset.mode); } return seen;""")
    assert sorted(seen) == ["auto", "dark", "light"]


def test_search_from_disk_quotes_pages(opened):
    run = opened("search.html?q=handwriting")
    quoted = run("""await until("results", () => one("#search-results li .context"));
      return one("#search-results li .context").textContent;""")
    assert "handwriting" in quoted


def test_the_race_ends_as_it_was_recorded(opened):
    run = opened("index.html")
    recorded = run("return (await until('a recording', () => one('.rl-summary strong'))).textContent")
    done, whole = run("""one(".rl-primary").click();
      await until("an end", () => one(".rl [aria-live='polite']").textContent.startsWith("Finished"));
      return [one(".rl-summary strong").textContent, one(".rl-summary").textContent];""")
    found, expected = (list(map(float, re.findall(r"([\d.]+) %", text))) for text in (done, recorded))
    if "rounding differs" in whole:
        assert found[0] < 10 and found[1] > 50, "errors in percent, with shortcuts and without"
    else:
        assert found == pytest.approx(expected, abs=0.1)


def test_a_shortcut_is_cut_and_a_guess_is_asked_for(opened):
    run = opened("chapters/lab.html")
    assert (
        run("""const block = await until("a block", () => one(".rl-block")); block.click(); await later(200);
      return one(".rl-block").getAttribute("aria-checked");""")
        == "false"
    )
    asked = run("""const buttons = [...document.querySelectorAll(".rl-button")];
      const ask = () => buttons.find((one) => one.textContent === "Guess first");
      const place = ask().closest(".resnet-lab"), seen = () => Boolean(place.querySelector(".rl-guessing"));
      const before = seen(); ask().click(); await later(200); return [before, seen()];""")
    assert asked[0] != asked[1]


def test_a_notebook_is_saved(opened, other):
    if not isinstance(other, Firefox):
        pytest.skip("WebKitGTK's small browser asks where to save, and nobody answers")
    run = opened("chapters/depth.html")
    run("one(\"a[href$='.ipynb']\").click(); await later(500);")
    for _ in range(100):
        if [path.name for path in other.saved.iterdir()] == ["depth.ipynb"]:
            break
        time.sleep(0.1)
    assert [path.name for path in other.saved.iterdir()] == ["depth.ipynb"]


def test_firefox_without_storage_has_menu_search_and_colours(html, tmp_path):
    browser = started(Firefox, tmp_path / "profile", storage=False)
    try:
        browser.go((html / "chapters" / "depth.html").as_uri())
        run = lambda body: browser.run(WAIT + body)  # noqa: E731
        assert (
            run("await later(500); one('.theme-switch-button').click(); return document.documentElement.dataset.mode")
            != "auto"
        )
        assert run("one('.search-button__button').click(); return one('#pst-search-dialog').open")
        assert browser.errors == []
    finally:
        browser.close()
