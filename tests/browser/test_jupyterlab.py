"""Instruments in a real JupyterLab and Notebook 7: run, restarted, saved, opened again, exported."""

import os
import socket
import subprocess
import sys
import time

import nbformat
import pytest
from conftest import problems_of

pytestmark = pytest.mark.slow

CELLS = (
    'from resnet_edu import lab\n\nlab.instrument("race", config={"depth": 8, "steps": 40})',
    'from resnet_edu.lab.widget import Lab\n\nLab(config={"depth": 8, "steps": 40})',
    'last = Lab(config={"depth": 8, "steps": 40}, element="lab")',
)
FINISHED = "document.querySelector('.rl [aria-live=polite]').textContent.startsWith('Finished')"


def write(folder, *cells):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "page.ipynb")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A JupyterLab that knows nothing of this machine's settings; yields (address, folder)."""
    folder = tmp_path_factory.mktemp("jupyter")
    names = "CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR", "LAB_SETTINGS_DIR", "LAB_WORKSPACES_DIR"
    places = {f"JUPYTER{'' if name.startswith('LAB') else '_'}{name}": str(folder / f".{name}") for name in names}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--IdentityProvider.token="]
    command = [sys.executable, "-m", "jupyterlab", *options, "--ServerApp.password=", f"--notebook-dir={folder}"]
    with (folder / ".log").open("w") as log:
        running = subprocess.Popen(command, env={**os.environ, **places}, cwd=folder, stdout=log, stderr=log)
        try:
            for _ in range(300):
                with socket.socket() as knock:
                    if not knock.connect_ex(("127.0.0.1", port)):
                        break
                assert running.poll() is None, (folder / ".log").read_text()
                time.sleep(0.3)
            yield f"http://127.0.0.1:{port}/", folder
        finally:
            running.terminate()
            running.wait(30)


@pytest.fixture
def page(browser, server):
    context = browser.new_context(viewport={"width": 1300, "height": 1000})
    yield context.new_page()
    context.close()


def open_notebook(page, server, place="lab/tree"):
    page.goto(f"{server[0]}{place}/page.ipynb", timeout=120_000)
    last = len(nbformat.read(server[1] / "page.ipynb", as_version=4).cells) - 1  # JupyterLab draws one after the other
    page.locator(".jp-Notebook .jp-Cell").nth(last).wait_for(timeout=120_000)
    if place == "lab/tree":
        page.locator('.jp-NotebookPanel .jp-Notebook-ExecutionIndicator[data-status="idle"]').wait_for(timeout=120_000)


def ask(page, address, method, path):
    """Ask the server as JupyterLab does."""
    token = next(one["value"] for one in page.context.cookies() if one["name"] == "_xsrf")
    answer = page.request.fetch(f"{address}api/{path}", method=method, headers={"X-XSRFToken": token})
    assert answer.ok, answer.text()


def run(page, labs):
    """Run all cells from the first, and wait until so many instruments stand there."""
    for number in range(page.locator(".jp-Notebook .jp-CodeCell").count()):
        cell = page.locator(".jp-Notebook .jp-CodeCell").nth(number)
        cell.locator(".jp-InputArea-editor").click()
        while (
            "[ ]" in cell.locator(".jp-InputPrompt").inner_text()
        ):  # before its kernel is there, a cell stays as it is
            cell.locator(".cm-content").press("Control+Enter")
            page.wait_for_timeout(2000)
    page.locator(".rl").nth(labs - 1).wait_for(timeout=240_000)


def save(page):
    page.locator(".jp-Notebook").first.press("Control+s")
    page.wait_for_function("!document.querySelector('.lm-TabBar-tab.jp-mod-dirty')", timeout=60_000)
    page.wait_for_timeout(1000)


def test_an_instrument_runs_is_saved_and_lives_on_without_a_kernel(page, server, browser):
    address, folder = server
    write(folder, CELLS[0])
    open_notebook(page, server)
    run(page, 1)
    race = page.locator(".rl").first
    race.get_by_role("button", name="Train both twins").click()
    page.wait_for_function(FINISHED, timeout=120_000)
    cells = page.locator(".jp-Cell").count()
    race.get_by_role("button", name="Step").focus()
    for key in ("b", "a", "x", "d", "d", "Enter", "ArrowDown"):  # the notebook's shortcuts
        page.keyboard.press(key)
    race.get_by_label("Seed").fill("7")
    race.get_by_label("Seed").press("Enter")
    race.get_by_label("Step shown").focus()
    page.keyboard.press("ArrowUp")
    assert page.locator(".jp-Cell").count() == cells
    assert page.evaluate("document.activeElement.closest('.rl') !== null")
    assert "#" not in page.url  # the address is the notebook's own

    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    widths = page.evaluate(
        "[...document.querySelectorAll('.rl-chart svg')].map((svg) => svg.clientWidth - svg.parentElement.clientWidth)"
    )
    assert widths == [0, 0]

    save(page)
    for session in page.request.get(f"{address}api/sessions").json():
        ask(page, address, "DELETE", f"sessions/{session['id']}")
    page.reload()
    page.locator(".rl").first.wait_for(timeout=120_000)  # nothing was run
    page.get_by_role("button", name="Train both twins").click()
    page.wait_for_function(FINISHED, timeout=120_000)

    command = [sys.executable, "-m", "nbconvert", "--to", "html", "page.ipynb"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    exported = browser.new_page()
    problems = problems_of(exported)
    exported.goto((folder / "page.html").as_uri())
    exported.get_by_role("button", name="Train both twins").click()
    exported.wait_for_function(FINISHED, timeout=120_000)
    own = [
        one for one in problems if "net::" not in one and "failed: http" not in one
    ]  # nbconvert asks a CDN for MathJax
    assert own == []
    exported.close()


@pytest.mark.parametrize("place", ["lab/tree", "notebooks"], ids=["JupyterLab", "Notebook 7"])
def test_a_kernels_lab_is_there_in_a_notebook_that_was_not_run_and_in_an_export(page, server, browser, place):
    """Its kernel is gone: the same instrument, training in the browser, stands in, and no error."""
    address, folder = server
    write(folder, CELLS[1])
    open_notebook(page, server, place)
    run(page, 1)
    page.wait_for_timeout(1000)
    assert [lab.is_visible() for lab in page.locator(".rl").all()] == [True]  # the widget alone
    page.get_by_role("button", name="Train in the kernel").wait_for()
    save(page)
    for session in page.request.get(f"{address}api/sessions").json():
        ask(page, address, "DELETE", f"sessions/{session['id']}")
    page.reload()
    page.get_by_role("button", name="Train in this browser").click(timeout=120_000)
    page.wait_for_function(FINISHED, timeout=120_000)
    assert not page.get_by_text("Error displaying widget").is_visible()
    assert not page.get_by_text("Loading widget").is_visible()

    command = [sys.executable, "-m", "nbconvert", "--to", "html", "page.ipynb"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    exported = browser.new_page()
    exported.goto((folder / "page.html").as_uri())
    exported.get_by_role("button", name="Train in this browser").click(timeout=60_000)
    exported.wait_for_function(FINISHED, timeout=120_000)
    assert not exported.get_by_text("Error displaying widget").is_visible()
    exported.close()


def test_a_kernels_lab_steps_says_when_its_kernel_is_gone_and_goes_when_it_is_run_again(page, server):
    address, folder = server
    write(folder, CELLS[1])
    open_notebook(page, server)
    run(page, 1)
    lab = page.locator(".rl").first
    for step in (1, 2):
        lab.get_by_role("button", name="Step").click()
        page.wait_for_function("n => document.querySelector('.rl-at').textContent === `${n} / 40`", arg=step)
        assert f"after {step} step" in lab.locator(".rl-summary").inner_text()
    lab.get_by_role("combobox", name="Data").wait_for()
    lab.locator(".rl-primary").first.click()
    page.wait_for_function(FINISHED, timeout=120_000)
    (kernel,) = page.request.get(f"{address}api/kernels").json()
    ask(page, address, "POST", f"kernels/{kernel['id']}/restart")
    page.wait_for_timeout(3000)
    lab.get_by_role("button", name="Reset").click()
    lab.locator(".rl-primary").first.click()
    page.wait_for_function(
        "document.querySelector('.rl-message').textContent.includes('The kernel does not answer')", timeout=60_000
    )


def test_a_guess_reaches_the_kernel_and_stands_beside_what_is_measured(page, server):
    show = 'question = lab.predict("degradation")\nquestion'
    write(
        server[1],
        f"from resnet_edu import lab\n\n{show}",
        'print("guessed", question.values["8"])',
        'lab.measured("degradation", {"8": 0.1})',
    )
    open_notebook(page, server)
    run(page, 2)
    page.get_by_text("guessed 50").wait_for(timeout=60_000)
    page.get_by_label("plain, 8 layers, as a number").fill("12")
    page.get_by_label("plain, 8 layers, as a number").press("Tab")
    page.get_by_role("button", name="This is my guess").click()
    page.get_by_role("cell", name="12 points too high").wait_for()  # the output below, without being run again
    cell = page.locator(".jp-Notebook .jp-CodeCell").nth(1)
    cell.locator(".jp-InputArea-editor").click()
    cell.locator(".cm-content").press("Control+Enter")
    page.get_by_text("guessed 12").wait_for(timeout=60_000)
