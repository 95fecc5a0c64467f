"""Write the notebooks for Colab, Binder and other homes: what a notebook's front end would show raw, as plain text.

python tools/editions.py FOLDER [--site ADDRESS]    write them
python tools/editions.py FOLDER --push              push them to their branch; PUSH_TOKEN allows it

A notebook of the book speaks MyST: citations, equation references, links to other pages. Colab and JupyterLab show
these raw. An edition has authors and years with links to the published bibliography, numbered equations, links to the
published pages, the wheel's address in its first cell, folded cells as forms, and in exercises nothing but the first
cell changed. The publishing workflow pushes the folder to the branch ``editions``; nothing of it is on main.
"""

import argparse
import base64
import copy
import json
import os
import posixpath
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "book" / "_ext"))
import address

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"
KINDS = ("chapters", "appendix", "exercises")
FOLDED = {"hide-input", "remove-input"}
GPU = (
    "**No GPU yet?** Choose *Runtime → Change runtime type → T4 GPU* before the first cell. "
    "Everything on this page runs without one, too."
)
# The first cell, with its address: what is installed, else the wheel, else the source two folders up, else a sentence.
INSTALL = """import importlib.util
import sys
from pathlib import Path

# The package may be missing. This takes the book's wheel, and moves nothing
# that is already there.
WHEEL = "{wheel}"
if importlib.util.find_spec("resnet_edu") is None:
    %pip install -q {{WHEEL}}
    importlib.invalidate_caches()
if importlib.util.find_spec("resnet_edu") is None:
    sys.path.insert(0, str(Path("../..").resolve()))
if importlib.util.find_spec("resnet_edu") is None:
    sys.exit(
        "The package resnet_edu is missing and could not be installed: switch "
        f"the notebook's internet on, or run  pip install {{WHEEL}}"
    )"""
README = """# Editions

The notebooks of {site}, as Colab, Binder and JupyterLab show them best.
They are written anew whenever the site is published: change their sources on the main branch.
"""
CODE = re.compile(r"(^```.*?^```[^\n]*$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
ROLE = re.compile(r"\{(cite(?::t)?|eq|doc|ref|numref)\}`([^`]+)`")
LABEL = re.compile(r"^\$\$\n(.*?)\n\$\$ \(([\w-]+)\)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(\]\()(?!https?:|#|mailto:)([^)\s]+?)\.(ipynb|md)(#[\w-]*)?\)")


def wheel_name() -> str:
    """Return the file name of the package's wheel."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return f"{project['name'].replace('-', '_')}-{project['version']}-py3-none-any.whl"


def citations() -> dict[str, tuple[str, str]]:
    """Return authors and year of every entry of the bibliography, as the site prints them, by key."""
    from citations import Labels
    from pybtex.database import parse_file
    from pybtex.plugin import find_plugin

    ordered = find_plugin("pybtex.style.sorting", "author_year_title")().sort(
        parse_file(str(BOOK / "references.bib")).entries.values()
    )
    labels = Labels().format_labels(ordered)
    return {entry.key: tuple(str(label).rsplit(", ", 1)) for entry, label in zip(ordered, labels, strict=True)}


class Edition:
    """One notebook on its way: ``name`` is its place in the book, ``site`` the published address."""

    def __init__(self, name: str, cells: list[dict], site: str, cited: dict[str, tuple[str, str]]):
        self.name, self.site, self.cited, self.folder = name, site, cited, posixpath.dirname(name)
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        self.numbers = {label: count for count, (_, label) in enumerate(LABEL.findall(text), 1)}

    def cite(self, keys: str, textual: bool) -> str:
        """Return ``[Authors, year]`` or ``Authors [year]`` with links to the bibliography."""
        found = []
        for key in (one.strip() for one in keys.split(",")):
            if key not in self.cited:
                raise ValueError(f"{self.name}: no entry {key!r} in book/references.bib")
            who, year = self.cited[key]
            text = f"{who} ({year})" if textual else f"{who}, {year}"
            found.append(f"[{text}]({self.site}/appendix/bibliography.html)")
        return ", ".join(found) if textual else f"({'; '.join(found)})"

    def role(self, match: re.Match) -> str:
        """Return what stands in place of a role. Raises ``ValueError`` for one that has no plain form."""
        role, target = match.groups()
        if role in ("cite", "cite:t"):
            return self.cite(target, role == "cite:t")
        if role == "eq" and target in self.numbers:
            return f"({self.numbers[target]})"
        raise ValueError(
            f"{self.name}: {match[0]} has no plain form; known are cite, cite:t, and eq with a label of the page"
        )

    def link(self, match: re.Match) -> str:
        """Return a link to the published page."""
        target = posixpath.normpath(posixpath.join(self.folder, match[2]))
        return f"{match[1]}{self.site}/{target}.html{match[4] or ''})"

    def prose(self, text: str) -> str:
        """Return Markdown that every front end shows as meant. Raises ``ValueError`` for what it would show raw."""
        text = ROLE.sub(self.role, text)
        text = LABEL.sub(lambda m: f"$$\n{m[1]}\n\\tag{{{self.numbers[m[2]]}}}\n$$", text)
        plain = CODE.split(text)
        plain[::2] = [LINK.sub(self.link, part) for part in plain[::2]]
        if left := re.search(r"\{[a-z:]+\}`|^:{3,}.*|^`{3,}\{.*", "".join(plain), re.MULTILINE):
            raise ValueError(f"{self.name}: {left[0]!r} is MyST that a notebook's front end would show raw")
        return "".join(plain)

    def cell(self, cell: dict) -> dict:
        """Return a cell as Colab and JupyterLab should show it."""
        cell, source = copy.deepcopy(cell), "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            source = self.prose(source)
        else:
            source = ROLE.sub(self.role, source)  # in sentences that the cell prints
            if FOLDED & set(cell["metadata"].get("tags", [])):
                cell["metadata"] |= {"cellView": "form", "jupyter": {"source_hidden": True}}
                source = f'# @title Draws a figure or says a sentence {{ display-mode: "form" }}\n{source}'
        cell["source"] = source.splitlines(keepends=True)
        return cell


def edition(path: Path, site: str, cited: dict[str, tuple[str, str]]) -> dict:
    """Return the notebook at ``path`` as its edition.

    Raises ``ValueError`` for a notebook without an install cell, and for MyST without a plain form.
    """
    name = path.relative_to(BOOK).with_suffix("").as_posix()
    notebook = json.loads(path.read_text(encoding="utf-8"))
    cells = notebook["cells"]
    made = Edition(name, cells, site, cited)
    first = next((n for n, cell in enumerate(cells[:4]) if "find_spec" in "".join(cell["source"])), None)
    if first is None:
        raise ValueError(f"{name}: none of its first cells looks for resnet_edu (importlib.util.find_spec)")
    install = INSTALL.format(wheel=f"{site}/wheels/{wheel_name()}")
    if path.parent.name != "exercises":  # a locked cell stays as it is: its mark depends on it
        cells = [made.cell(cell) for cell in cells]
    cells[first]["source"] = install.splitlines(keepends=True)
    if notebook["metadata"].get("accelerator") == "GPU":
        cells.insert(first, {"cell_type": "markdown", "id": "gpu", "metadata": {}, "source": [GPU]})
    colab = {"name": f"{path.stem}.ipynb", "provenance": [], "toc_visible": True}
    return {**notebook, "cells": cells, "metadata": {**notebook["metadata"], "colab": colab}}


def write(folder: Path, site: str) -> list[Path]:
    """Write all editions below ``folder``; return their paths."""
    cited, made = citations(), []
    for path in sorted(path for kind in KINDS for path in (BOOK / kind).glob("*.ipynb")):
        target = folder / path.relative_to(BOOK)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(edition(path, site, cited), indent=1, ensure_ascii=False)
        target.write_text(f"{text}\n", encoding="utf-8")
        made.append(target)
    (folder / ".binder").mkdir(exist_ok=True)
    binder = (ROOT / ".binder" / "postBuild").read_text(encoding="utf-8")
    path = folder / ".binder" / "postBuild"
    path.write_text(binder.replace("--system .", f"--system {site}/wheels/{wheel_name()}"), encoding="utf-8")
    path.chmod(0o755)
    (folder / "README.md").write_text(README.format(site=site), encoding="utf-8")
    return made


def push(folder: Path, repository: str, token: str) -> None:
    """Make ``folder`` the only commit of the branch of the editions. The token stands in no command line."""
    secret = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    settings = {"user.name": "editions", "user.email": "editions@localhost", "core.autocrlf": "false"}
    settings |= {f"http.{repository}.extraheader": f"Authorization: Basic {secret}"} if token else {}
    environment = {**os.environ, "GIT_CONFIG_COUNT": str(len(settings))}
    for count, (key, value) in enumerate(settings.items()):
        environment |= {f"GIT_CONFIG_KEY_{count}": key, f"GIT_CONFIG_VALUE_{count}": value}
    with tempfile.TemporaryDirectory() as git:
        base = ["git", f"--git-dir={git}", f"--work-tree={folder}"]
        for command in (
            ["init", "--quiet", "-b", address.EDITIONS],
            ["add", "--all", "--force", "."],
            ["commit", "--quiet", "-m", "Write the editions of the notebooks"],
            ["push", "--quiet", "--force", repository, f"HEAD:refs/heads/{address.EDITIONS}"],
        ):
            done = subprocess.run([*base, *command], env=environment, cwd=folder, capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"git {command[0]} failed: {done.stderr.strip()}")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--site", help="the published site's address (default: as book/_ext/address.py finds it)")
    parser.add_argument("--push", action="store_true", help="push the folder to the branch of the editions")
    options = parser.parse_args(arguments)
    if options.push:
        repository = address.repository()
        if not repository or not options.folder.is_dir():
            parser.error(f"nothing to push: the repository is {repository or 'not known'}, {options.folder} must exist")
        return push(options.folder.resolve(), repository, os.environ.get("PUSH_TOKEN", ""))
    site = (options.site or address.site() or "").rstrip("/")
    if not site:
        parser.error("the site's address is not known: give --site or BOOK_URL, such as https://owner.github.io/name")
    made = write(options.folder, site)
    print(f"{len(made)} notebooks for {site} in {options.folder}")


if __name__ == "__main__":
    main()
