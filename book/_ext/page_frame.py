"""What goes around every page: a strict security policy, light pages, and links and titles as a reader expects them.

Sphinx hands every finished page to ``Frame.render``, its template bridge; what follows there holds for pages, cell
outputs and extensions alike, whoever wrote them.
"""

import base64
import functools
import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from sphinx.jinja2glue import BuiltinTemplateLoader
from sphinx.util import logging

logger = logging.getLogger(__name__)
ICONS = Path(__file__).parents[1] / "assets" / "icons.css"

# "file:" beside 'self': from disk every page has an origin of its own, and Firefox lets 'self' match nothing there.
POLICY = {
    "default-src": "'none'",
    "script-src": "'self' file: 'wasm-unsafe-eval'",  # WebAssembly, nothing else that evaluates; inline ones by hash
    "worker-src": "blob:",  # the lab's engine
    "style-src": "'self' file: 'unsafe-inline'",  # MathJax and table cells; styles run nothing
    "img-src": "'self' file: data: blob:",
    "font-src": "'self' file:",
    "connect-src": "'self'",  # nothing here asks; what rates pages asks for robots.txt from within them
    "form-action": "'self' file:",
    "base-uri": "'none'",
}

_SCRIPT = re.compile(r"<script\b([^>]*)>(.*?)</script>", re.DOTALL | re.IGNORECASE)
_HANDLER = re.compile(r"<[a-z][^<>]*?\s(on[a-z]+)\s*=", re.IGNORECASE)
_ICON = re.compile(r'<(?:i|span) class="[^"]*\bfa(?:s|b|r|-solid|-brands|-regular)\b[^"]*"')
_PICTURE = re.compile(r'<img\b([^>]*?) src="data:image/svg\+xml,([^"]*)"')
_MATHS = re.compile(r'class=\\?"[^"]*\b(?:math|rl-tex)\b|\\\(|\\\[')  # the latter in the data of an instrument
# Font Awesome's fonts, which a browser that lays out early asks for, and its letters: a third of the theme's styles.
_AWESOME = re.compile(r'@font-face\s*{[^}]*fontawesome[^}]*}|(?:\.fa-[\w-]+::?before,?)+{content:"[^"]*"}')
_FIGURES = "_images/figures"


def policy(page: str) -> str:
    """Return the Content-Security-Policy for a page: its inline scripts are allowed by their hashes, no others."""
    hashes = []
    for attributes, text in _SCRIPT.findall(page):
        if text.strip() and "src=" not in attributes and not re.search(r"type=\"?application/", attributes):
            digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
            hashes.append(f"'sha256-{digest}'")
    allowed = POLICY | {"script-src": " ".join([POLICY["script-src"], *sorted(set(hashes))])}
    return "; ".join(f"{name} {value}" for name, value in allowed.items())


@functools.cache
def _drawn() -> frozenset[str]:
    """Return the names of the icons that the style sheet draws."""
    return frozenset(re.findall(r"\.(fa-[\w-]+)", ICONS.read_text(encoding="utf-8")))


def finish(page: str, name: str) -> str:
    """Return a rendered page with its policy, without inline handlers, its source link as a download.

    A handler that the policy would forbid, and an icon that is not drawn, are warnings: they would do nothing.
    """
    page = page.replace('onclick="window.print()"', 'data-press="print"')
    # a notebook would be shown as text, at least from disk
    page = re.sub(r'(<a href="(?![a-z]+:)[^"]*\.(?:ipynb|md)") target="_blank"', r"\1 download", page)
    outside = _SCRIPT.sub("", page)
    if found := _HANDLER.search(outside):
        logger.warning("%s: the security policy forbids the handler %s: %s", name, found[1], found[0][:120])
    for icon in set(_ICON.findall(page)):
        if not _drawn() & set(re.findall(r"fa-[\w-]+", icon)) - {"fa-solid", "fa-brands", "fa-regular", "fa-lg"}:
            logger.warning("%s: assets/icons.css does not draw this icon: %s", name, icon)
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy(page)}" />'
    return page.replace('<meta charset="utf-8" />', f'<meta charset="utf-8" />\n    {meta}', 1)


class Frame(BuiltinTemplateLoader):
    """Sphinx's templates, with every page finished."""

    def render(self, template: str, context: dict) -> str:
        """Return a page as HTML."""
        page = super().render(template, context)
        return finish(page, context["pagename"]) if template.endswith(".html") and "pagename" in context else page


def take_out_pictures(body: str, folder: Path, address: str) -> str:
    """Write a page's inline drawings into files in ``folder``; return the page with links to them.

    A figure holds four, for light and dark, wide and narrow pages; a browser loads the one that it shows, and that only
    once a reader comes near it. Width and height keep its place free.
    """

    def link(match: re.Match) -> str:
        svg = unquote(match[2]).strip()
        name = hashlib.sha256(svg.encode()).hexdigest()[:16] + ".svg"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(svg, encoding="utf-8")
        box = re.search(r"viewBox='0 0 ([\d.]+) ([\d.]+)'", svg)
        size = f' width="{float(box[1]):.0f}" height="{float(box[2]):.0f}"' if box else ""
        return f'<img{match[1]} src="{address}/{name}" loading="lazy"{size}'

    return _PICTURE.sub(link, body)


class _Text(HTMLParser):
    """The text of a page as its reader sees it, without scripts, code that is folded, and the signs beside headings."""

    SKIPPED = frozenset({"script", "style", "noscript", "svg"})
    CLASSES = frozenset({"headerlink", "hide", "toctree-wrapper"})
    INLINE = frozenset({"a", "abbr", "b", "cite", "code", "em", "i", "kbd", "small", "span", "strong", "sub", "sup"})

    def __init__(self):
        super().__init__()
        self.parts, self.skipped = [], []  # the elements that are open, from the first that is skipped

    def handle_starttag(self, tag, attributes):
        classes = (dict(attributes).get("class") or "").split()
        if self.skipped or tag in self.SKIPPED or self.CLASSES.intersection(classes):
            self.skipped.append(tag)
        elif tag not in self.INLINE:
            self.parts.append(" ")

    def handle_endtag(self, tag):
        if tag in self.skipped:
            while self.skipped.pop() != tag:
                pass

    def handle_data(self, data):
        if not self.skipped:
            self.parts.append(data)


def text_of(body: str) -> str:
    """Return the text of a page's body on one line."""
    reader = _Text()
    reader.feed(body)
    return " ".join("".join(reader.parts).split())


def prepare(app, pagename, templatename, context, doctree):
    """Make a page light before it is rendered, keep its text for the search, and mend its title."""
    body = context.get("body", "")
    scripts = context["script_files"]
    if not _MATHS.search(body):
        scripts[:] = [one for one in scripts if "athjax" not in str(getattr(one, "filename", one)) + _inline(one)]
    if pagename != "search":  # whose own scripts call them at once
        scripts[:] = map(_deferred, scripts)
    context["body"] = take_out_pictures(body, Path(app.outdir, _FIGURES), context["pathto"](_FIGURES, 1))
    if pagename == app.config.root_doc:
        context["docstitle"] = ""  # it would follow the same words
    if pagename == "search":  # the last of all pages
        write_texts(app)
        for name in ("search-text.js", "search.js"):
            app.add_js_file(name, loading_method="defer")
    elif doctree is not None:
        path = Path(app.doctreedir, "text", f"{pagename}.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text_of(body), encoding="utf-8")


def _inline(script) -> str:
    return str(getattr(script, "attributes", {}).get("body", "")).lower()


def _deferred(script):
    """Return a script that lets the page be drawn first; the options must stand before what is written in line."""
    name = str(getattr(script, "filename", None) or "")
    if not name or "documentation_options" in name or {"defer", "async"} & set(script.attributes):
        return script
    return type(script)(script.filename, priority=script.priority, **script.attributes, defer="defer")


def write_texts(app):
    """Write the pages' text for the search."""
    texts = {}
    for name in sorted(app.env.found_docs):
        path = Path(app.doctreedir, "text", f"{name}.txt")
        if path.exists():
            texts[name] = path.read_text(encoding="utf-8")
    words = json.dumps(texts, ensure_ascii=False, separators=(",", ":"))
    Path(app.outdir, "_static", "search-text.js").write_text(f"const PAGE_TEXT = {words};\n", encoding="utf-8")


def clean_up(app, exception):
    """Drop what no page loads."""
    if exception or app.builder.format != "html":
        return
    site = Path(app.outdir)
    shutil.rmtree(site / "_static" / "vendor" / "fontawesome", ignore_errors=True)
    for path in site.glob("_static/styles/*.css"):
        path.write_text(_AWESOME.sub("", path.read_text(encoding="utf-8")), encoding="utf-8")
    for path in {*site.glob("_static/scripts/fontawesome.js*"), *site.glob("_static/**/*.map")}:
        path.unlink()
    used = set()
    for page in site.rglob("*.html"):
        used.update(re.findall(rf"{_FIGURES}/(\w+\.svg)", page.read_text(encoding="utf-8")))
    for path in (site / _FIGURES).glob("*.svg"):
        if path.name not in used:
            path.unlink()


def setup(app):
    """Register the extension."""
    app.connect("html-page-context", prepare, priority=950)  # after the lab's scripts and MathJax are in
    app.connect("build-finished", clean_up)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
