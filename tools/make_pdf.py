"""Make one tagged PDF of the whole built book: title page, contents with page numbers, chapters, answers at the end.

python tools/make_pdf.py    writes dist/residual-networks-measured.pdf

The pages are those of the site, put together into one and printed by the Chromium that the tests use. Figures stand in
place of the instruments; folded answers move to the end, with links there and back; links between pages lead within
the PDF.
"""

import io
import re
import sys
import tempfile
from pathlib import Path
from textwrap import shorten
from urllib.parse import urljoin, urlsplit

import yaml
from bs4 import BeautifulSoup, Tag
from get_browser import find
from pypdf import PdfReader

ROOT = Path(__file__).parents[1]
SITE = ROOT / "book" / "_build" / "html"
TARGET = ROOT / "dist" / "residual-networks-measured.pdf"
STYLES = (
    "styles/pydata-sphinx-theme.css",
    "pygments.css",
    "styles/sphinx-book-theme.css",
    "sphinx-design.min.css",
    "book.css",
)
# What only a screen can press, and drawings for other screens.
DROPPED = (
    "script", "noscript", ".headerlink", ".toctree-wrapper", "details.hide", "img.rf-dark", "img.rf-narrow-light",
    "img.rf-narrow-dark", ".copybtn", ".rl-answers",
)  # fmt: skip
LOOK = """
html { font-size: 10.5pt; }
body { background: #fff; color: #000; }
.book > section, .part { break-before: page; }
.cover { height: 240mm; display: flex; flex-direction: column; justify-content: center; text-align: center; }
.cover img { width: 60mm; margin: 0 auto 12mm; }
.contents ol { list-style: none; padding: 0; margin: 0 0 .6em; }
.contents li { display: flex; gap: .5em; margin: 0; }
.contents li::before { content: ""; order: 1; flex: 1; border-bottom: 1px dotted #888; margin-bottom: .35em; }
.contents .at { order: 2; font-variant-numeric: tabular-nums; }
.contents a { color: inherit; text-decoration: none; }
.contents .caption { font-weight: 700; margin: .8em 0 .2em; break-after: avoid; }
.part { height: 200mm; display: flex; align-items: center; justify-content: center; }
.answer { margin-bottom: 1em; break-inside: avoid-page; }
.answer > .question { display: block; font-weight: 600; color: inherit; text-decoration: none; }
.resnet-lab-figure[hidden] { display: block !important; }
"""
MARGIN = {"top": "18mm", "bottom": "20mm", "left": "16mm", "right": "16mm"}
FOOT = """<div style="font: 8pt sans-serif; width: 100%; padding: 0 16mm; display: flex; color: #444">
<span style="flex: 1">{title}</span><span class="pageNumber"></span></div>"""


def parts() -> list[tuple[str, list[str]]]:
    """Return the book's parts: their captions and pages, in order; the front page is a part without a caption."""
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
    return [("", [toc["root"]])] + [(p["caption"], [c["file"] for c in p["chapters"]]) for p in toc["parts"]]


def anchor(page: str, name: str = "") -> str:
    """Return the id in the whole book of the element ``name`` of a page, or of the page."""
    return re.sub(r"[^\w-]", "-", page) + (f"--{name}" if name else "")


def address(reference: str, page: str, known: set[str]) -> str:
    """Return where a link or picture of a page leads: into the book, to a file of the site, or outside."""
    if re.match(r"[a-z][a-z+.-]*:", reference):
        return reference
    joined = urlsplit(urljoin(f"{page}.html", reference))
    target = joined.path.removesuffix(".html")
    if target in known:
        return f"#{anchor(target, joined.fragment)}"
    return (SITE / joined.path).as_uri()


def article(page: str, known: set[str]) -> Tag:
    """Return a page's article as a section of the whole book."""
    soup = BeautifulSoup((SITE / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
    found = soup.select_one("article.bd-article")
    for one in found.select(", ".join(DROPPED)):
        one.decompose()
    for one in found.select("[id]"):
        one["id"] = anchor(page, one["id"])
    for name in ("href", "src"):
        for one in found.select(f"[{name}]"):
            one[name] = address(one[name], page, known)
    for one in found.select("[loading]"):
        del one["loading"]
    for name in ("aria-labelledby", "aria-describedby", "for"):
        for one in found.select(f"[{name}]"):
            one[name] = " ".join(anchor(page, part) for part in one[name].split())
    found.name, found["id"] = "section", anchor(page)
    return found


def asked(folded: Tag) -> str:
    """Return the question that a folded answer belongs to: its own heading, or what stands before it."""
    heading = folded.summary.get_text(" ", strip=True) if folded.summary else ""
    if heading not in ("", "Answer", "Diagnosis", "Does this hold?"):
        return heading
    before = [one.get_text(" ") for one in folded.previous_siblings if one.get_text().strip()]
    return shorten(before[0], 240, placeholder=" …") if before else heading


def take_answers(section: Tag, page: str, soup: BeautifulSoup) -> Tag | None:
    """Move a page's folded answers into a section of their own, with links there and back; return it, or None."""
    folded = section.select("details")
    if not folded:
        return None
    answers = soup.new_tag("div")
    title = soup.new_tag("h2")
    title.string = section.h1.get_text().strip()
    answers.append(title)
    for number, one in enumerate(folded, 1):
        here, there = f"{anchor(page)}--question-{number}", f"{anchor(page)}--answer-{number}"
        question = asked(one)
        place = soup.new_tag("p", id=here)
        if one.summary and (heading := one.summary.extract().get_text(" ", strip=True)) == question:
            place.string = f"{heading} "
        link = soup.new_tag("a", href=f"#{there}")
        link.string = f"(answer {number})"
        place.append(link)
        one.insert_before(place)
        box = soup.new_tag("div", id=there, attrs={"class": "answer"})
        back = soup.new_tag("a", href=f"#{here}", attrs={"class": "question"})
        back.string = f"{number}. {question}"
        box.append(back)
        for child in list(one.contents):
            box.append(child.extract())
        one.decompose()
        answers.append(box)
    return answers


def contents(entries: list[tuple[str, str, str]], at: dict[str, int]) -> str:
    """Return the table of contents: ``entries`` are (part or "", title, id), ``at`` the page of an id."""
    rows = []
    for part, title, name in entries:
        if part:
            rows.append(f'</ol><p class="caption">{part}</p><ol>')
        else:
            rows.append(f'<li><a href="#{name}">{title}</a><span class="at">{at.get(bare(title), "")}</span></li>')
    return f'<section class="contents"><h1>Contents</h1><ol>{"".join(rows)}</ol></section>'


def assemble() -> tuple[str, list[tuple[str, str, str]], str]:
    """Return the book's title, the entries of its contents, and its body as HTML."""
    soup = BeautifulSoup("", "html.parser")
    every = parts()
    known = {page for _, pages in every for page in pages}
    title = yaml.safe_load((ROOT / "book" / "_config.yml").read_text(encoding="utf-8"))["title"]
    entries, body, answers = [], [], []
    for caption, pages in every:
        if caption:
            entries.append((caption, "", ""))
        for page in pages:
            section = article(page, known)
            name = "About this book" if page == pages[0] and not caption else section.h1.get_text().strip()
            section.h1.string = name
            entries.append(("", name, anchor(page)))
            if (found := take_answers(section, page, soup)) is not None:
                answers.append(str(found))
            body.append(str(section))
    entries += [("At the end", "", ""), ("", "Answers", "answers")]
    body.append(f'<section id="answers"><h1>Answers</h1>{"".join(answers)}</section>')
    return title, entries, "".join(body)


def document(title: str, entries: list[tuple[str, str, str]], body: str, at: dict[str, int]) -> str:
    """Return the whole book as one page of HTML."""
    static = SITE / "_static"
    head = "".join(f'<link rel="stylesheet" href="{(static / name).as_uri()}">' for name in STYLES)
    head += (
        '<script>window.MathJax = {options: {enableMenu: false, processHtmlClass: "math", ignoreHtmlClass: "book"}};'
    )
    head += f'</script><script src="{(static / "vendor/mathjax/tex-chtml.js").as_uri()}"></script>'
    author = yaml.safe_load((ROOT / "book" / "_config.yml").read_text(encoding="utf-8"))["author"]
    cover = f'<img src="{(static / "logo.svg").as_uri()}" alt=""><h1>{title}</h1><p>{author}</p>'
    return (
        '<!doctype html><html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">'
        f"<title>{title}</title>{head}<style>{LOOK}</style></head><body><main class='bd-main'><div class='bd-content'>"
        f"<article class='bd-article book'><section class='cover'>{cover}</section>{contents(entries, at)}{body}"
        "</article></div></main></body></html>"
    )


def bare(title: str) -> str:
    """Return a title without spaces: where it is set on two lines, the outline loses the one between them."""
    return "".join(title.split())


def pages_of(pdf: bytes) -> dict[str, int]:
    """Return the page, counted from 1, of every entry at the top of a PDF's outline."""
    reader = PdfReader(io.BytesIO(pdf))
    tops = [one for one in reader.outline if not isinstance(one, list)]
    return {bare(one.title): reader.get_destination_page_number(one) + 1 for one in tops}


def printed(browser, path: Path, html: str, title: str) -> bytes:
    """Return a page as PDF: tagged, with an outline, page numbers at its foot."""
    path.write_text(html, encoding="utf-8")
    page = browser.new_page(color_scheme="light")
    page.goto(path.as_uri())
    page.evaluate("async () => { await document.fonts.ready; await MathJax.startup.promise; }")
    missing = "[...document.images].filter((one) => one.complete && !one.naturalWidth).map((one) => one.src)"
    if broken := page.evaluate(missing):
        sys.exit(f"the book has pictures that do not load, the first is {broken[0]}; build it again: make book")
    pdf = page.pdf(
        format="A4", tagged=True, outline=True, print_background=True, display_header_footer=True,
        header_template="<span></span>", footer_template=FOOT.format(title=title), margin=MARGIN,
    )  # fmt: skip
    page.close()
    return pdf


def make(target: Path = TARGET) -> None:
    """Write the PDF. The first printing tells the page numbers that the contents of the second one show."""
    from playwright.sync_api import sync_playwright

    title, entries, body = assemble()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=find(), args=["--no-sandbox"])
        path = Path(folder, "book.html")
        at = {}
        for _ in range(2):
            pdf = printed(browser, path, document(title, entries, body, at), title)
            at = pages_of(pdf)
        browser.close()
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(pdf)


if __name__ == "__main__":
    if not (SITE / "index.html").exists():
        sys.exit(f"there is no built book in {SITE}; build it first: make book")
    make()
    print(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size / 1e6:.1f} MB, {len(PdfReader(TARGET).pages)} pages")
