"""Put the lab's instruments into pages: the directive ``lab``, and scripts and style on pages that have one.

    ```{lab} training
    :id: lab
    :shown: plain-56 residual-56
    :guess:
    ```

A notebook's output may hold an instrument as well (``resnet_edu.lab.instrument``); such a page gets the files, too, and
loses the copies that the output carries for a notebook that stands alone.
"""

import hashlib
import re
from pathlib import Path
from typing import ClassVar

import minify
from docutils import nodes
from docutils.parsers.rst import Directive, directives

from resnet_edu import lab
from resnet_edu.lab.assets import INLINE, wants_more

TYPES = {".js": "text/javascript", ".css": "text/css"}


def shrink(name, text):
    """Return a file's text with short local names and no spaces: a fifth less for a reader to load."""
    return minify.string(TYPES[Path(name).suffix], text)


# What the kernel's widgets held: 300 kB a page, and of no use where no kernel answers.
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"


class LabDirective(Directive):
    """An instrument (``training`` if none is named), or a figure where there is no JavaScript."""

    optional_arguments = 1
    option_spec: ClassVar = {
        "id": directives.unchanged,
        "depth": directives.nonnegative_int,
        "shortcut": directives.unchanged,
        "shown": directives.unchanged,
        "guess": directives.flag,
    }

    def run(self):
        """Return the instrument's HTML."""
        options = dict(self.options)
        settings = {key: options.pop(key) for key in ("id", "shown") if key in options}
        if "shown" in settings:
            settings["shown"] = tuple(settings["shown"].split())
        if "guess" in options:
            settings["guess"] = options.pop("guess") is None
        if options:
            settings["config"] = options
        try:
            text = str(lab.instrument(*(self.arguments or ["training"]), **settings))
        except ValueError as error:
            raise self.error(str(error)) from error
        return [nodes.raw("", text, format="html")]


def sources():
    """Return a checksum of all that the lab's files are made of."""
    package = Path(lab.__file__).parents[1]
    parts = ("lab", "datasets", "bank", "experiments")
    files = [path for part in parts for path in (package / part).rglob("*") if path.is_file()]
    files = [path for path in files if "__pycache__" not in path.parts] + [Path(__file__)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(files))).hexdigest()


def write_files(app):
    """Write the lab's files into the build and let Sphinx copy them beside the book's own."""
    if app.builder.format == "html":
        folder, stamp = Path(app.doctreedir) / "lab", Path(app.doctreedir) / "lab.sha256"
        app.config.html_static_path.append(str(folder))
        if stamp.exists() and stamp.read_text() == sources():
            return  # the digits alone need PyTorch and scikit-learn, seconds in which a chapter's prose is built
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in {**lab.page_scripts(), "lab.css": lab.style()}.items():
            (folder / name).write_text(shrink(name, text), encoding="utf-8")
        stamp.write_text(sources())


def add_files(app, pagename, templatename, context, doctree):
    """Link the files from a page with an instrument: the shared one, and one for each that stands there."""
    scripts = context["script_files"]
    scripts[:] = [script for script in scripts if getattr(script, "attributes", {}).get("type") != WIDGET_STATE]
    body = context.get("body", "")
    if 'class="resnet-lab"' not in body:
        return
    context["body"] = INLINE.sub("", body)
    names = sorted(set(re.findall(r'data-instrument="([\w-]+)"', body)))
    for name in ["", *(["-parts"] if any(map(wants_more, names)) else []), *(f"-{name}" for name in names)]:
        app.add_js_file(f"lab{name}.js", loading_method="defer")
    app.add_css_file("lab.css")


def setup(app):
    """Register the extension."""
    app.add_directive("lab", LabDirective)
    app.connect("builder-inited", write_files)
    app.connect("html-page-context", add_files, priority=900)  # after myst_nb has put in the widgets' state
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
