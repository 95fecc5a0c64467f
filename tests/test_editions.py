"""Editions of the notebooks for Colab and Binder, and the addresses that they are made of."""

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

import address
import editions
import nbformat
import pytest
import yaml
from conftest import ROOT
from test_repository import COLAB

SITE = "https://owner.github.io/name"
BOOK = ROOT / "book"


@pytest.fixture(autouse=True)
def no_address(monkeypatch):
    for name in ("BOOK_URL", "GITHUB_REPOSITORY", "GITHUB_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("editions")
    return folder, editions.write(folder, SITE)


def test_every_notebook_has_an_edition_without_raw_myst(made):
    folder, paths = made
    sources = {path.relative_to(BOOK) for kind in editions.KINDS for path in (BOOK / kind).glob("*.ipynb")}
    assert {path.relative_to(folder) for path in paths} == sources and len(sources) > 20
    for path in paths:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
        assert not re.search(r"\{(cite|eq)", prose + code), path.name
        if path.parent.name != "exercises":
            assert not re.search(r"\]\((?!https?://|#)", re.sub(r"`[^`\n]+`|\$[^$]+\$", "", prose)), path.name
        assert f"{SITE}/wheels/resnet_edu-" in code


def test_an_edition_of_an_exercise_differs_in_its_first_code_cell_alone(made):
    folder, _ = made
    for path in (BOOK / "exercises").glob("*.ipynb"):
        before, after = (json.loads(one.read_text())["cells"] for one in (path, folder / "exercises" / path.name))
        changed = [n for n, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
        assert [before[n]["metadata"]["nbgrader"]["grade_id"] for n in changed] == ["install"]


def notebook(tmp_path, monkeypatch, *texts, install=True, tags=()):
    """Write a chapter with these Markdown cells and a folded cell; return its path and the cells of its edition."""
    monkeypatch.setattr(editions, "BOOK", tmp_path)
    cells = [nbformat.v4.new_markdown_cell(text) for text in texts]
    first = nbformat.v4.new_code_cell('import importlib.util\nimportlib.util.find_spec("resnet_edu")')
    cells[1:1] = [first] if install else []
    cells.append(nbformat.v4.new_code_cell("draw('equation {eq}`two`')", metadata={"tags": list(tags)}))
    path = tmp_path / "chapters" / "one.ipynb"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    cited = {"he2015": ("He et al.", "2015a"), "veit2016": ("Veit et al.", "2016")}
    return ["".join(cell["source"]) for cell in editions.edition(path, SITE, cited)["cells"]]


def test_citations_equations_and_links_become_plain_text(tmp_path, monkeypatch):
    title, _, prose, code = notebook(
        tmp_path, monkeypatch, "# One",
        "{cite:t}`he2015` and {cite}`he2015,veit2016`, by {eq}`two`, [here](two.ipynb#part), "
        "[there](../appendix/x.md), `[code](a.ipynb)`\n\n$$\na\n$$ (one)\n\n$$\nb\n$$ (two)", tags=["hide-input"],
    )  # fmt: skip
    where = f"({SITE}/appendix/bibliography.html)"
    assert title == "# One"
    assert f"[He et al. (2015a)]{where}" in prose
    assert f"([He et al., 2015a]{where}; [Veit et al., 2016]{where})" in prose
    assert "by (2)" in prose and "a\n\\tag{1}\n$$" in prose and "b\n\\tag{2}\n$$" in prose
    assert f"[here]({SITE}/chapters/two.html#part)" in prose and f"[there]({SITE}/appendix/x.html)" in prose
    assert "`[code](a.ipynb)`" in prose
    assert code.startswith("# @title") and code.endswith("draw('equation (2)')")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{cite}`nobody2000`", "no entry 'nobody2000'"),
        ("{eq}`elsewhere`", "has no plain form"),
        ("{doc}`other`", "has no plain form"),
        ("{func}`train`", "is MyST"),
        (":::{note}\nText\n:::", "is MyST"),
        ("```{figure} a.png\n```", "is MyST"),
    ],
)
def test_what_has_no_plain_form_is_named(tmp_path, monkeypatch, text, message):
    with pytest.raises(ValueError, match=f"chapters/one.*{message}"):
        notebook(tmp_path, monkeypatch, "# One", f"{text}\n\n$$\na\n$$ (two)")


def test_a_notebook_without_an_install_cell_is_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"chapters/one: none of its first cells looks for resnet_edu"):
        notebook(tmp_path, monkeypatch, "# One\n\n$$\na\n$$ (two)", install=False)


def test_without_an_address_no_edition_is_written(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(address, "_urls", dict)
    with pytest.raises(SystemExit, match="2"):
        editions.main([str(tmp_path / "out")])
    assert "give --site or BOOK_URL" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_the_address_comes_from_one_place(monkeypatch):
    monkeypatch.setattr(address, "_urls", dict)
    assert address.site() is None and address.repository() is None
    monkeypatch.setattr(address, "_urls", lambda: {"Homepage": "https://a.org/b/", "Repository": "https://a.org/r"})
    assert address.site() == "https://a.org/b" and address.repository() == "https://a.org/r"
    monkeypatch.setenv("GITHUB_REPOSITORY", "Owner/name")
    assert address.site() == "https://owner.github.io/name"
    assert address.repository() == "https://github.com/Owner/name"
    monkeypatch.setenv("GITHUB_REPOSITORY", "Owner/owner.github.io")
    assert address.site() == "https://owner.github.io"
    monkeypatch.setenv("BOOK_URL", "http://127.0.0.1:8000/")
    assert address.site() == "http://127.0.0.1:8000"
    monkeypatch.setenv("BOOK_URL", "javascript:alert(1)")
    with pytest.raises(ValueError, match="BOOK_URL must be an address"):
        address.site()


@pytest.mark.parametrize("source", [True, False])
def test_the_first_cell_takes_the_source_or_says_what_to_do(tmp_path, source):
    """With ``-S -I`` nothing but the standard library is found; two folders up lies a package or not."""
    chapter = nbformat.read(BOOK / "chapters" / "depth.ipynb", as_version=4)
    (cell,) = [cell.source for cell in chapter.cells[:4] if "find_spec" in cell.source]
    (tmp_path / "book" / "chapters").mkdir(parents=True)
    if source:
        (tmp_path / "resnet_edu.py").write_text("found = 42")
    done = subprocess.run(
        [sys.executable, "-S", "-I", "-c", f"{cell}\nimport resnet_edu\nprint(resnet_edu.found)"],
        cwd=tmp_path / "book" / "chapters", capture_output=True, text=True,
    )  # fmt: skip
    if source:
        assert done.stdout.strip() == "42", done.stderr
    else:
        assert done.returncode == 1 and done.stderr.startswith("The package resnet_edu is missing.")
        assert "Traceback" not in done.stderr


def test_the_wheel_beside_the_pages_is_small_and_its_name_is_known(html):
    (wheel,) = (html / "wheels").iterdir()
    assert wheel.name == editions.wheel_name() and wheel.stat().st_size < 2_000_000


@pytest.mark.slow
def test_every_edition_runs_with_colabs_versions_from_the_wheel_of_the_site(html, tmp_path):
    uv, python = [sys.executable, "-m", "uv"], tmp_path / "colab" / "bin" / "python"
    subprocess.run([*uv, "venv", "--seed", "--quiet", tmp_path / "colab"], check=True)
    versions = [f"{name}=={version}" for name, version in COLAB.items()]
    stack = ["-r", ROOT / "tests" / "colab-requirements.txt", "nbclient"]
    subprocess.run([*uv, "pip", "install", "--quiet", "--python", python, *versions, *stack], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    editions.write(tmp_path / "editions", f"http://127.0.0.1:{port}")
    options = ["--site", html, "--port", str(port)]
    done = subprocess.run([python, ROOT / "tools" / "try_editions.py", tmp_path / "editions", *options], cwd=tmp_path)
    assert done.returncode == 0


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_the_workflows_are_sound():
    """Against GitHub's own schema, and audited: actions pinned, no token kept, nothing that a stranger wrote is run."""
    folder = Path(sys.executable).parent
    schema = [folder / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS]
    audit = [folder / "zizmor", "--offline", "--quiet", "--persona", "regular", *WORKFLOWS]
    for command in (schema, audit):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflows_are_thin():
    """A step is an action or one command of make, so that a maintainer can run it at home."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            for command in (step["run"] for step in job["steps"] if "run" in step):
                first, *rest = command.split()
                ours = first == "make" and set(rest) <= targets
                assert ours or first == ".ci/run" or command.startswith("sudo rm -rf"), f"{path.name}: {command}"
