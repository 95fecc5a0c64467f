"""Draw the logo and the favicon: a signal, two layers on it, and the shortcut around them.

python tools/draw_logo.py    writes book/assets/logo.svg and book/assets/favicon.svg
"""

from pathlib import Path

ASSETS = Path(__file__).parents[1] / "book" / "assets"
ON, OFF = "#0072B2", "#D55E00"  # the book's colours for shortcut on and shortcut off

MARK = f"""<path d="M8 34H56" stroke="{OFF}" stroke-width="4" stroke-dasharray="5 4" fill="none"/>
<rect x="18" y="26" width="10" height="16" rx="3" fill="{OFF}"/>
<rect x="33" y="26" width="10" height="16" rx="3" fill="{OFF}"/>
<path d="M8 34C8 8 52 8 52 30" stroke="{ON}" stroke-width="5" fill="none" stroke-linecap="round"/>
<circle cx="52" cy="34" r="6.5" fill="#fff" stroke="{ON}" stroke-width="3.5"/>
<path d="M48.8 34h6.4M52 30.8v6.4" stroke="{ON}" stroke-width="2.2"/>"""


def svg(title: str, box: str) -> str:
    """Return the mark as a picture that shows the part ``box`` of it."""
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" role="img" aria-label="{title}">\n{MARK}\n</svg>\n'


if __name__ == "__main__":
    (ASSETS / "logo.svg").write_text(svg("A shortcut around two layers", "2 6 60 44"))
    (ASSETS / "favicon.svg").write_text(svg("Residual Networks, Measured", "1 -4 62 62"))
