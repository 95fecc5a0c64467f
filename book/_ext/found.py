"""How the book is found and cited: descriptions, cards for links, canonical addresses, a sitemap, BibTeX.

All that holds an address comes from ``address.site()``; a book built without one has none of it.
"""

import hashlib
import html
import textwrap
from pathlib import Path
from urllib.parse import quote

import yaml
from address import site
from page_frame import text_of
from sphinx.util import logging

logger = logging.getLogger(__name__)
ROOT = Path(__file__).parents[2]
LENGTH = 160  # characters of a description that search engines show
OPENING = "The question. "


def describe(body: str) -> str:
    """Return what a page is about, in 160 characters: the question of its opening box, else its first sentences."""
    text = text_of(body)
    if OPENING in text:
        text = text.split(OPENING, 1)[1].split(" You will see", 1)[0]
    elif "</h1>" in body:
        text = text_of(body.split("</h1>", 1)[1])
    return textwrap.shorten(text, LENGTH, placeholder=" …")


def bibtex(title: str, address: str | None) -> str:
    """Return a BibTeX entry for a page of the book, with its address if there is one."""
    book = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    date = str(book["date-released"])
    who = " and ".join("{" + author["name"] + "}" for author in book["authors"])
    fields = {"author": who, "title": "{" + title + "}", "year": date[:4], "note": f"Version {book['version']}"}
    if title != book["title"]:
        fields["booktitle"] = "{" + book["title"] + "}"
    if address:
        fields["url"] = address
    kind = "misc" if title == book["title"] else "incollection"
    lines = [f"  {name} = {{{value}}}" for name, value in fields.items()]
    return f"@{kind}{{residual-networks-measured,\n" + ",\n".join(lines) + "\n}"


def draw_card(path: Path, book: str, title: str, words: str) -> None:
    """Draw a picture of 1200 x 630 pixels that stands beside a link to a page."""
    from matplotlib.figure import Figure

    canvas = Figure(figsize=(12, 6.3), dpi=100, facecolor="#14181e")
    canvas.text(0.06, 0.86, book, color="#a5aeb8", fontsize=22)
    canvas.text(0.06, 0.74, textwrap.fill(title, 34), color="#ffffff", fontsize=44, weight="bold", va="top")
    canvas.text(0.06, 0.10, textwrap.fill(words, 72), color="#e6e9ed", fontsize=20, va="bottom")
    axes = canvas.add_axes((0.76, 0.80, 0.18, 0.14))  # a block: two layers, and the shortcut around them
    axes.set(xlim=(0, 10), ylim=(0, 6))
    axes.axis("off")
    axes.plot([0, 10], [2, 2], color="#a5aeb8", linewidth=3)
    axes.bar([3, 6.4], [2.4, 2.4], 1.6, bottom=0.8, color="#3d9fd8")
    axes.plot([0.8, 0.8, 8.8, 8.8], [2, 4.8, 4.8, 2], color="#3d9fd8", linewidth=3)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(path, metadata={"Software": None})


def card(app, pagename: str, title: str, words: str) -> str:
    """Return where in the site a page's card lies; it is drawn when its words are new."""
    book = app.config.html_title
    digest = hashlib.sha256(f"{book}{title}{words}".encode()).hexdigest()[:8]
    name = f"_images/cards/{pagename.replace('/', '-')}-{digest}.png"
    if not Path(app.outdir, name).exists():
        draw_card(Path(app.outdir, name), book, title, words)
    return name


def meta(**facts: str) -> str:
    """Return meta elements; ``og_`` begins the names of the Open Graph protocol."""
    lines = []
    for name, content in facts.items():
        kind, key = (
            ("property", name.replace("_", ":", 1)) if name.startswith("og_") else ("name", name.replace("_", ":"))
        )
        lines.append(f'<meta {kind}="{key}" content="{html.escape(content, quote=True)}" />')
    return "\n    ".join(lines)


def add(app, pagename, templatename, context, doctree):
    """Give a page its description, card and citation."""
    if doctree is None:
        context["metatags"] = context.get("metatags", "") + meta(robots="noindex")  # the search page
        return
    title = html.unescape(text_of(context["title"])).strip()
    title = title.split(". ", 1)[1] if title[:1].isdigit() and ". " in title else title
    words, address = describe(context["body"]), context.get("pageurl")
    facts = {"description": words}
    if address:
        picture = f"{site()}/{quote(card(app, pagename, title, words))}"
        facts |= {
            "og_type": "article", "og_site_name": app.config.html_title, "og_title": title, "og_description": words,
            "og_url": address, "og_image": picture, "og_image:width": "1200", "og_image:height": "630",
            "og_image:alt": f"{app.config.html_title}: {title}", "twitter_card": "summary_large_image",
        }  # fmt: skip
    context["metatags"] = context.get("metatags", "") + "\n    " + meta(**facts)
    context["bibtex"] = bibtex(title, address)


def set_address(app, config):
    """Tell Sphinx the address: it writes the canonical links."""
    if address := site():
        config.html_baseurl = f"{address}/"


def write_files(app, exception):
    """Write the sitemap and a page at every address that a page once had."""
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    if address := site():
        names = sorted(name for name in app.env.found_docs if (out / f"{name}.html").exists())
        urls = "".join(f"<url><loc>{address}/{quote(name)}.html</loc></url>\n" for name in names)
        head = '<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
        (out / "sitemap.xml").write_text(f"{head}{urls}</urlset>\n", encoding="utf-8")
        (out / "robots.txt").write_text(f"User-agent: *\nAllow: /\nSitemap: {address}/sitemap.xml\n", encoding="utf-8")
    for old, new in app.config.renamed_pages.items():
        if old in app.env.found_docs or new not in app.env.found_docs:
            logger.warning("renamed_pages: %r must be no page, and %r one", old, new)
            continue
        path = out / f"{old}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(moved("../" * old.count("/") + f"{new}.html"), encoding="utf-8")


def moved(target: str) -> str:
    """Return a page that leads on to ``target`` at once, and by a link where a browser does not."""
    head = '<meta charset="utf-8"><title>This page has moved</title><meta name="robots" content="noindex">'
    head += f'<meta http-equiv="refresh" content="0; url={target}">'
    body = f'<main><h1>This page has moved</h1><p><a href="{target}">Go to its new place</a></p></main>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def setup(app):
    """Register the extension."""
    app.add_config_value("renamed_pages", {}, "html", dict)
    app.connect("config-inited", set_address)
    app.connect("html-page-context", add, priority=940)  # before page_frame takes the pictures out of the body
    app.connect("build-finished", write_files)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
