"""Put the whole book into one file for a room without internet: site, notebooks, wheel, and a page that says how.

python tools/make_bundle.py    writes dist/residual-networks-measured.zip
"""

import sys
import tempfile
import zipfile
from pathlib import Path

import editions

ROOT = Path(__file__).parents[1]
SITE = ROOT / "book" / "_build" / "html"
TARGET = ROOT / "dist" / "residual-networks-measured.zip"
DATE = (2000, 1, 1, 0, 0, 0)  # of every file in it: the same book gives the same bundle
START = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Residual Networks, Measured: start here</title>
<style>
body {{ font: 1.1rem/1.6 Georgia, serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem; }}
html {{ color-scheme: light dark; }} code, pre {{ font-size: 0.9em; }} pre {{ overflow-x: auto; }}
</style></head>
<body><main>
<h1>Residual Networks, Measured</h1>
<p>Everything here works without internet. Unpack the whole folder first: pages that are opened inside a zip file find
no pictures.</p>
<h2>Read</h2>
<p><a href="site/index.html">Open the book</a>. Search, equations and all instruments work from disk, in the browser
alone; nothing is installed. On a phone or tablet, copy the folder to one computer of the room and serve it:
<code>python -m http.server --directory site</code>; the others open that computer's address, port 8000.</p>
<h2>Run the notebooks</h2>
<p>The chapters and exercises as notebooks are in <code>notebooks/</code>. They need Python 3.11 or newer with PyTorch,
torchvision, scikit-learn, matplotlib, ipywidgets, anywidget and JupyterLab, which this file does not hold: a computer
of the room that has them needs only the book's own package, which the first cell of each notebook takes from here, as
these lines do:</p>
<pre>python -m pip install --no-index --no-deps site/wheels/{wheel}
jupyter lab notebooks</pre>
<p>The digits that most chapters train on come with scikit-learn. CIFAR-10 and published weights would be downloaded;
the cells that use them say so and go on without.</p>
</main></body></html>
"""


def files() -> dict[str, bytes]:
    """Return what the bundle holds, by its name there."""
    (wheel,) = (SITE / "wheels").glob("*.whl")
    found = {"START-HERE.html": START.format(wheel=wheel.name).encode(), "LICENSE": (ROOT / "LICENSE").read_bytes()}
    for path in SITE.rglob("*"):
        if path.is_file() and path.name not in (".buildinfo", "objects.inv"):
            found[f"site/{path.relative_to(SITE).as_posix()}"] = path.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        for path in editions.write(Path(folder), "../../site"):  # links and wheel as seen from notebooks/chapters
            found[f"notebooks/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
    return found


def make(target: Path = TARGET) -> int:
    """Write the bundle; return how many files it holds."""
    found = files()
    target.parent.mkdir(exist_ok=True)
    top = target.stem
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as bundle:
        for name in sorted(found):
            entry = zipfile.ZipInfo(f"{top}/{name}", DATE)
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            bundle.writestr(entry, found[name])
    return len(found)


if __name__ == "__main__":
    if not (SITE / "index.html").exists():
        sys.exit(f"there is no built book in {SITE}; build it first: make book")
    count = make()
    print(
        f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size / 1e6:.1f} MB, {count} files; its START-HERE.html says how"
    )
