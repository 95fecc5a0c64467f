"""The pages' common frame: one file, readable in light and dark, nothing loaded from elsewhere."""

import html

STYLE = """
:root { color-scheme: light dark; --line: #8886; --good: #009e73; --bad: #d55e00; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .4rem .6rem; vertical-align: top; }
tr { border-bottom: 1px solid var(--line); } td.number { text-align: right; white-space: nowrap; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border-left: .25rem solid var(--line); padding-left: 1rem; }
.full::before { content: "\\2713  "; color: var(--good); } .lost::before { content: "\\2717  "; color: var(--bad); }
svg { max-width: 100%; height: auto; background: #fff; }
"""


def page(title: str, body: str) -> str:
    """Return a whole page."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{prose(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body><main><h1>{prose(title)}</h1>{body}</main></body></html>\n"
    )


def prose(text: str) -> str:
    """Return text as it is shown: nothing in it is taken for HTML."""
    return html.escape(text)
