"""Small pages that hold instruments alone, opened in a real browser: what several test files share."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import problems_of
from lab_island import shrink

from resnet_edu import lab

HEAD = """<!doctype html><html lang="en" data-theme="{theme}"><meta charset="utf-8"><title>Lab</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<link rel="stylesheet" href="{up}static/lab.css"><script defer src="{up}static/lab.js"></script>
<style>html[data-theme=dark] {{ --pst-color-text-base: #ced6dd; --pst-color-background: #14181e;
--pst-color-border: #48566b; --pst-color-text-muted: #9ca4af; --pst-color-surface: #29313d; background: #14181e }}
h1 {{ font-size: 1rem }} </style>
<body><main><h1 style="color: gray">A page with a lab</h1>{body}</main></body></html>"""
SHORT = {"depth": 8, "steps": 60}


def island(element="lab", config=None, **settings):
    return str(lab.instrument("training", id=element, config=config, **settings))


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site") / "static"
    folder.mkdir()
    for name, content in {**lab.page_scripts(), "lab.css": lab.style()}.items():
        (folder / name).write_text(shrink(name, content))
    return folder.parent


@pytest.fixture
def open_lab(browser, static):
    """Write a page with islands and open it from disk; return the page, which must stay without errors.

    ``keep`` opens it in the context of an earlier page, as another tab of the same reader.
    """
    opened = []

    def open_page(
        *islands, theme="light", width=1000, at="", name="page.html", start="", body=None, address=None, keep=None,
        **options,
    ):  # fmt: skip
        path = static / name
        path.parent.mkdir(parents=True, exist_ok=True)
        body = "".join(map(str, islands or [island()])) if body is None else body
        path.write_text(HEAD.format(theme=theme, body=body, up="../" * name.count("/")))
        context = keep.context if keep else browser.new_context(viewport={"width": width, "height": 900}, **options)
        page = context.new_page()
        problems = problems_of(page, ("error", "warning"))
        context.route(
            lambda url: not url.startswith((address or "file:", "blob:", "data:")),
            lambda route: (problems.append(route.request.url), route.abort()),
        )
        if start:
            page.add_init_script(start)
        page.goto((f"{address}{name}" if address else path.as_uri()) + at)
        opened.append((context, problems))
        return page

    yield open_page
    found = [problem for _, problems in opened for problem in problems]
    for context, _ in opened:
        context.close()
    assert not found, "\n".join(found)


def faults(page):
    """Return what axe-core says against the instruments of a page, each rule with the first elements that break it."""
    found = Axe().run(page, context=".rl", options={"preload": False}).response["violations"]
    return [(one["id"], [node["html"][:160] for node in one["nodes"]]) for one in found]


def summary(page):
    return page.locator(".rl-summary").first.inner_text()


def press_at(page, step, name):
    """Press a button once a run is past a step, from within the page: the run may be over before the driver sees it."""
    page.evaluate(
        """async ([step, name]) => {
          const buttons = document.querySelector(".rl").getElementsByTagName("button");
          const button = () => [...buttons].find((one) => one.textContent.includes(name));
          while (!(parseInt(document.querySelector(".rl-at").textContent) > step && button()))
            await new Promise((later) => setTimeout(later));
          button().click();
        }""",
        [step, name],
    )


def train(page, steps):
    """Press the big button and wait for the end."""
    page.locator(".rl-primary").first.click()
    page.wait_for_function(
        "n => document.querySelector('.rl-at').textContent === `${n} / ${n}`"
        " && !document.querySelector('.rl-primary').classList.contains('rl-running')",
        arg=steps,
        timeout=60_000,
    )


def press_and_stop(page, name):
    """Press the button with this text, and the Stop that takes its place before anything can have ended."""
    page.evaluate(
        """async (name) => {
          const press = (text) => [...document.querySelectorAll(".rl button")].find((one) => one.textContent.includes(text)).click();
          press(name);
          await new Promise((drawn) => setTimeout(drawn));
          press("Stop");
        }""",  # noqa: E501
        name,
    )


def hide(page, hidden):
    """Let the page believe that its tab is hidden, or in sight again."""
    page.evaluate(
        """(hidden) => {
          Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )
