"""Open every page of the built book in a browser, as all kinds of readers do, and say what is wrong and what it weighs.

python tools/site_check.py              every page, in every way of WAYS
python tools/site_check.py index lab    the pages whose names contain one of these

A page must run under its own security policy, from disk and from a server, with the network cut, with storage blocked,
light, dark and in high contrast, on a phone, a tablet, a laptop and at 200 % zoom: without a message on the console, a
request to anywhere else, an axe-core violation of WCAG 2.2 A or AA, sideways scrolling, or lines that move while fonts
come. Its first load must keep to the budget.
"""

import functools
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from axe_playwright_python.base import AXE_SCRIPT
from axe_playwright_python.sync_playwright import Axe
from get_browser import find
from serve import Published, served

SITE = Path(__file__).parents[1] / "book" / "_build" / "html"
# 640 is what a window of 1280 shows at 200 % zoom.
WIDTHS = (1280, 768, 640, 390)
BUDGETS = {"index.html": 0.6e6}  # bytes of the first load, compressed as servers send it
BUDGET = 0.9e6  # of any other page
STORES = ("localStorage", "sessionStorage", "indexedDB")
BLOCKED = f"""for (const name of {json.dumps(STORES)}) {{
  const get = () => {{ throw new DOMException("The operation is insecure.", "SecurityError"); }};
  Object.defineProperty(window, name, {{ configurable: true, get }});
}}"""
# The theme lets keys reach what scrolls, 0.3 s after the width has changed.
WITHIN_REACH = """() => new Promise((done) => {
  const wait = (left) => {
    const boxes = [...document.querySelectorAll("pre")];
    const late = boxes.some((one) => one.scrollWidth > one.clientWidth && one.tabIndex < 0);
    if (late && left) setTimeout(wait, 100, left - 1); else done();
  };
  wait(50);
})"""
# Fonts, equations and instruments stand.
SETTLED = """async () => {
  await document.fonts.ready;
  await window.MathJax?.startup?.promise;
  for (let tries = 0; tries < 100 && document.querySelector(".resnet-lab:not([data-mounted])"); tries++)
    await new Promise((resolve) => setTimeout(resolve, 50));
  await new Promise((resolve) => setTimeout(resolve, 200));
}"""
DRAWN = """() => new Promise((done) => {
  const wait = () => performance.getEntriesByName("first-contentful-paint").length ? done() : setTimeout(wait, 20);
  wait();
})"""
# Cumulative Layout Shift, as browsers measure it, of what moves up or down: in a font of the same widths no line
# breaks elsewhere, but words move a little along it. Good is at most 0.1 (web.dev/articles/cls).
SHIFTED = """() => new Promise((done) => {
  let sum = 0;
  const moved = (one) => one.sources.some((part) => Math.abs(part.currentRect.y - part.previousRect.y) > 3);
  const add = (list) => { for (const one of list.getEntries()) sum += moved(one) ? one.value : 0; };
  new PerformanceObserver(add).observe({ type: "layout-shift", buffered: true });
  setTimeout(() => done(sum), 200);
})"""
MOST_SHIFT = 0.1
# "preload": a page from disk may not read its own style sheets again, nor may one under its policy
AXE = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}, "preload": False}

# axe-core spends four fifths of its time on contrast, text by text, though most of a page look alike. A text passes as
# one before it did if its own colours, size, weight and shadow are the same and the colours behind it, its ancestors',
# too. What stands in a box that may lie anywhere is measured each time, and so is what failed or could not be told.
ALIKE = """(() => {
  const check = axe._audit.checks["color-contrast"], measure = check.evaluate;
  const passed = new Map(), grounds = new Map([[null, ""]]);
  const colours = ["backgroundColor", "backgroundImage", "opacity", "mixBlendMode"];
  const own = ["color", "webkitTextFillColor", "webkitTextStroke", "textShadow", "fontSize", "fontWeight"];
  const read = (style, names) => names.map((name) => style[name]).join();
  const clear = "rgba(0, 0, 0, 0),none,1,normal";
  const groundOf = (one) => {
    if (!grounds.has(one)) {
      const style = getComputedStyle(one), below = groundOf(one.parentElement), here = read(style, colours);
      const fixed = below !== null && ["static", "relative"].includes(style.position);
      grounds.set(one, fixed ? (here === clear ? below : `${below}/${here}`) : null);
    }
    return grounds.get(one);
  };
  check.evaluate = function (one, ...rest) {
    const ground = groundOf(one), look = `${ground}|${read(getComputedStyle(one), own)}`;
    let found = ground !== null && passed.get(look);
    if (found) {
      this.data(found);
      return true;
    }
    const helper = Object.assign(Object.create(this), { data: (data) => this.data((found = data)) });
    const outcome = measure.call(helper, one, ...rest);
    if (outcome && found.fgColor) passed.set(look, found); // what was not measured may pass, too
    return outcome;
  };
})()"""


@dataclass(frozen=True)
class Way:
    """A way to read a page: ``scheme`` light or dark; from a server or from disk; with storage or without."""

    name: str
    scheme: str
    served: bool
    storage: bool
    contrast: bool = False


# All pairs of these choices occur.
WAYS = {
    way.name: way
    for way in (
        Way("light", "light", served=True, storage=True),
        Way("dark", "dark", served=False, storage=False),
        Way("light, no storage", "light", served=False, storage=False),
        Way("dark, high contrast", "dark", served=True, storage=True, contrast=True),
    )
}


@dataclass
class Found:
    """What a visit to a page found: ``problems`` to read, and the ``files`` of its first load."""

    problems: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)


@functools.cache
def compressed(path: Path) -> int:
    """Return a file's bytes as a server sends them: by gzip, where that makes it smaller."""
    data = path.read_bytes()
    return min(len(data), len(gzip.compress(data, 6)))


def pages(site: Path = SITE) -> list[str]:
    """Return the names of the site's pages, the front page first."""
    found = [path.relative_to(site).as_posix() for path in site.rglob("*.html") if "_static" not in path.parts]
    return sorted(found, key=lambda name: ("/" in name, name))


class Reader:
    """Opens pages of a site with a Playwright ``browser``; ``address`` is where the site is served."""

    def __init__(self, browser, site: Path, address: str):
        self.browser, self.site, self.address = browser, site, address

    @contextmanager
    def open(self, name: str, way: Way, width: int = 1280, **options: object) -> Iterator[tuple]:
        """Open a page; yield it and what is found, which fills while the page is open."""
        colours = {"color_scheme": way.scheme, "forced_colors": "active" if way.contrast else "none"}
        context = self.browser.new_context(viewport={"width": width, "height": 900}, **colours, **options)
        try:
            if not way.storage:
                context.add_init_script(BLOCKED)
            page, found = context.new_page(), Found()
            base = self.address if way.served else self.site.as_uri() + "/"
            self._listen(context, page, found, base)
            page.goto(base + name)
            if options.get("java_script_enabled", True):
                page.evaluate(SETTLED)
            yield page, found
        finally:
            context.close()

    def _listen(self, context, page, found: Found, base: str) -> None:
        def asked(request):
            if request.url.startswith(base):
                found.files.append(self.site / unquote(urlsplit(request.url[len(base) :]).path))

        def refuse(route):
            found.problems.append(f"asks for {route.request.url}")
            route.abort()

        page.on("request", asked)
        page.on("console", lambda said: said.type == "error" and found.problems.append(f"console: {said.text[:400]}"))
        page.on("pageerror", lambda error: found.problems.append(f"error: {error}"))
        page.on("requestfailed", lambda request: found.problems.append(f"failed: {request.url[:200]}"))
        context.route(lambda url: not url.startswith((base, "data:", "blob:")), refuse)

    def check(self, name: str, way: Way, widths: tuple[int, ...] = WIDTHS) -> Found:
        """Look at a page in every width, and through axe-core in the widest and the narrowest."""
        with self.open(name, way, widths[0]) as (page, found):
            first = list(dict.fromkeys(found.files))
            if page.locator("html").get_attribute("data-theme") != way.scheme:
                found.problems.append(f"is not {way.scheme}")
            if not page.locator("meta[http-equiv='Content-Security-Policy']").count():
                found.problems.append("has no security policy")
            for width in widths:
                page.set_viewport_size({"width": width, "height": 900})
                page.evaluate(WITHIN_REACH)
                if width in (widths[0], widths[-1]):
                    found.problems.extend(f"{width} px: {one}" for one in violations(page))
                if (wide := page.evaluate("document.documentElement.scrollWidth")) > width:
                    found.problems.append(f"{width} px: scrolls sideways, {wide} px")
            found.problems.extend(self.illegible(page))
            found.files = [path if path.suffix else path / "index.html" for path in first]
        weight, budget = sum(map(compressed, found.files)), BUDGETS.get(name, BUDGET)
        if weight > budget:
            found.problems.append(f"loads {weight / 1e6:.2f} MB at first, its budget is {budget / 1e6:.1f} MB")
        return found

    def shift(self, name: str, width: int = 1280) -> float:
        """Return how much a page moves under its reader while it loads, if its fonts come after all else.

        Equations are left out, for no browser knows how wide they are before they are set.
        """
        context = self.browser.new_context(viewport={"width": width, "height": 900})
        try:
            page, held, drawn = context.new_page(), [], False
            page.route("**/*.woff2", lambda route: route.continue_() if drawn else held.append(route))
            page.route("**/mathjax/**", lambda route: route.abort())
            page.goto(self.address + name, wait_until="domcontentloaded")
            page.evaluate(DRAWN)
            drawn = True
            for route in held:
                route.continue_()
            page.evaluate(SETTLED)
            return page.evaluate(SHIFTED)
        finally:
            context.close()

    def illegible(self, page) -> list[str]:
        """Return the figures that stand in the page as it is now with letters of less than ten pixels."""
        pictures = page.locator("figure.rf > img")
        facts = "all => all.map(one => [one.src, one.getBoundingClientRect().width, one.alt])"
        shown = [one for one in pictures.evaluate_all(facts) if one[1]]
        small = []
        for source, width, alt in shown:
            svg = (self.site / source[source.index("_images/") :]).read_text(encoding="utf-8")
            points = [100 * float(scale) for scale in re.findall(r"scale\(([\d.]+) -", svg)]  # exponents aside
            across = float(re.search(r"viewBox='0 0 ([\d.]+)", svg)[1])  # points
            if (letters := min(points, default=99) * width / across) < 10:
                small.append(f"a figure with letters of {letters:.1f} px: {alt[:80]}")
        return small


def violations(page) -> list[str]:
    """Return what axe-core says against a page: all of WCAG 2.2 A and AA, of the rest what is serious."""
    said = []
    for rule in Axe(AXE_SCRIPT + ALIKE).run(page, options=AXE).response["violations"]:
        if any(tag.startswith("wcag") for tag in rule["tags"]) or rule["impact"] in ("serious", "critical"):
            places = " | ".join(node["html"][:160] for node in rule["nodes"][:3])
            said.append(f"axe {rule['id']} ({rule['impact']}): {places}")
    return said


# Scores of 100 that Lighthouse must give; the version is the last that runs on Node.js 18 and 20.
LIGHTHOUSE, LEAST = "lighthouse@12", {"performance": 90, "accessibility": 95, "best-practices": 95, "seo": 95}
RATED = ("index.html", "chapters/degradation.html", "exercises/residual-block.html")


def rate(address: str) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Return Lighthouse's scores of a page by category, and what it found wanting in each.

    Raises ``RuntimeError`` where npx cannot bring or start it.
    """
    if not (npx := shutil.which("npx")):
        raise RuntimeError("npx (Node.js) is not installed")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [npx, "--yes", LIGHTHOUSE, address, "--quiet", "--output=json", f"--output-path={report}"]
        command += ["--preset=desktop", "--chrome-flags=--headless=new --no-sandbox"]
        environment = os.environ | {"CHROME_PATH": find() or ""}
        try:
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        except subprocess.TimeoutExpired as error:
            raise RuntimeError("it took more than 300 s") from error
        if not report.exists():
            raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1][:200])
        said = json.loads(report.read_text())
    scores, wanting = {}, {}
    for key, one in said["categories"].items():
        scores[key] = round(100 * one["score"])
        audits = [said["audits"][ref["id"]] for ref in one["auditRefs"] if ref["weight"]]
        wanting[key] = [
            audit["title"] for audit in audits if (audit["score"] if audit["score"] is not None else 1) < 0.9
        ]
    return scores, wanting


def rate_pages(address: str) -> int:
    """Print Lighthouse's scores of pages that are served as a site is; return how many are too low.

    Where Lighthouse cannot be had, say why.
    """
    low = 0
    for name in RATED:
        try:
            scores, wanting = rate(address + name)
        except RuntimeError as error:
            print(f"Lighthouse was not run: {error}")
            break
        low_ones = [(key, least) for key, least in LEAST.items() if scores[key] < least]
        short = [f"{key} is below {least}: {', '.join(wanting[key])}" for key, least in low_ones]
        print(f"Lighthouse {name}: {scores}{''.join(f'; {one}' for one in short)}", flush=True)
        low += len(short)
    return low


def main(wanted: list[str]) -> None:
    """Run the command line."""
    from playwright.sync_api import sync_playwright

    if not (SITE / "index.html").exists():
        sys.exit(f"there is no built book in {SITE}; build it first: make book")
    names = [name for name in pages() if not wanted or any(part in name for part in wanted)]
    if not names:
        sys.exit(f"no page's name contains {' or '.join(wanted)}")
    bad = 0
    print(f"{'page':<42}{'HTML':>8}{'first load':>12}{'files':>7}   in kB, compressed", flush=True)
    with served(SITE) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=["--no-sandbox"])
        reader = Reader(browser, SITE, address)
        for name in names:
            found = {way: reader.check(name, way) for way in WAYS.values()}
            for width in (WIDTHS[0], WIDTHS[-1]):
                if (moved := reader.shift(name, width)) > MOST_SHIFT:
                    found[WAYS["light"]].problems.append(f"{width} px: moves while it loads, by {moved:.2f}")
            files = found[WAYS["light"]].files
            own, weight = compressed(SITE / name) / 1e3, sum(map(compressed, files)) / 1e3
            print(f"{name:<42}{own:>8.0f}{weight:>12.0f}{len(files):>7}", flush=True)
            for way, one in found.items():
                for problem in dict.fromkeys(one.problems):
                    bad += 1
                    print(f"    {way.name}: {problem}", flush=True)
        browser.close()
    if not wanted:
        with served(SITE, handler=Published) as address:
            bad += rate_pages(address)
    ways = f"{len(names)} pages, {len(WAYS)} ways ({'; '.join(WAYS)}), {', '.join(map(str, WIDTHS))} px"
    print(f"{ways}: {f'{bad} problems' if bad else 'nothing to mend'}")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main(sys.argv[1:])
