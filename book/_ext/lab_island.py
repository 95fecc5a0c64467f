"""Put the lab into pages: the directive ``lab``, and its scripts and style on pages that have one.

    ```{lab}
    :id: lab
    :shown: plain-56 residual-56
    :guess:
    ```

A notebook's output may hold the island's HTML as well (``resnet_edu.lab.island``); such a page gets the files, too.
"""

import hashlib
from pathlib import Path
from typing import ClassVar

import minify
from docutils import nodes
from docutils.parsers.rst import Directive, directives

from resnet_edu import lab

FILES = {
    "lab-training.js": lab.training_script,
    "lab-cards.js": lab.cards_script,
    "lab.js": lambda: lab.bundle("classic"),
    "lab.css": lab.style,
}
TYPES = {".js": "text/javascript", ".css": "text/css"}


def shrink(name, text):
    """Return a file's text with short local names and no spaces: a fifth less for a reader to load."""
    return minify.string(TYPES[Path(name).suffix], text)


# What the kernel's widgets held: 300 kB a page, and of no use where no kernel answers.
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"


class LabDirective(Directive):
    """The lab, or a figure where there is no JavaScript."""

    option_spec: ClassVar = {
        "id": directives.unchanged,
        "depth": directives.nonnegative_int,
        "shortcut": directives.unchanged,
        "shown": directives.unchanged,
        "guess": directives.flag,
    }

    def run(self):
        """Return the island."""
        options = dict(self.options)
        shown = tuple(options.pop("shown", "plain-56 residual-56").split())
        try:
            guess = options.pop("guess", 0) is None
            text = lab.island(options.pop("id", "lab"), guess=guess, shown=shown, config=options)
        except ValueError as error:
            raise self.error(str(error)) from error
        return [nodes.raw("", text, format="html")]


def sources():
    """Return a checksum of all that the lab's files are made of."""
    package = Path(lab.__file__).parents[1]
    files = [path for path in (package / "lab").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    files += [package / "datasets.py", Path(__file__)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(files))).hexdigest()


def write_files(app):
    """Write the lab's files into the build and let Sphinx copy them beside the book's own."""
    if app.builder.format == "html":
        folder, stamp = Path(app.doctreedir) / "lab", Path(app.doctreedir) / "lab.sha256"
        app.config.html_static_path.append(str(folder))
        if stamp.exists() and stamp.read_text() == sources():
            return  # the digits alone need PyTorch and scikit-learn, seconds in which a chapter's prose is built
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in FILES.items():
            (folder / name).write_text(shrink(name, content()), encoding="utf-8")
        stamp.write_text(sources())


def add_files(app, pagename, templatename, context, doctree):
    """Link the files from a page with a lab."""
    scripts = context["script_files"]
    scripts[:] = [script for script in scripts if getattr(script, "attributes", {}).get("type") != WIDGET_STATE]
    body = context.get("body", "")
    needed = ["lab-training.js", "lab.js"] if 'class="resnet-lab"' in body else []
    needed += ["lab-cards.js"] if 'class="resnet-card"' in body else []
    for name in needed:
        app.add_js_file(name, loading_method="defer")
    if needed:
        app.add_css_file("lab.css")


def setup(app):
    """Register the extension."""
    app.add_directive("lab", LabDirective)
    app.connect("builder-inited", write_files)
    app.connect("html-page-context", add_files, priority=900)  # after myst_nb has put in the widgets' state
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
