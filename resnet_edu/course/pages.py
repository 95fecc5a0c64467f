"""The pages' common frame: one file, readable in light and dark, nothing loaded from elsewhere."""

import html
from collections.abc import Iterable
from urllib.parse import unquote

STYLE = """
:root { color-scheme: light dark; --line: #8886; --good: #009e73; --bad: #d55e00; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
body { overflow-wrap: break-word; } .answer { overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .4rem .6rem; vertical-align: top; }
tr { border-bottom: 1px solid var(--line); } td.number { text-align: right; white-space: nowrap; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border-left: .25rem solid var(--line); padding-left: 1rem; }
.full::before { content: "\\2713  "; color: var(--good); } .lost::before { content: "\\2717  "; color: var(--bad); }
.answer { border-left: .25rem solid var(--line); padding-left: 1rem; } .answer img { max-width: 100%; }
.answer h1, .answer h2, .answer h3 { font-size: 1.1rem; }
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


def markdown(text: str, pictures: Iterable[tuple[str, str, str]] = ()) -> str:
    """Return Markdown as HTML; ``pictures`` are ``(name, type, bytes in base 64)`` of the cell's attachments.

    HTML in the text is shown as text, and a picture from elsewhere as its address: the page loads nothing.
    """
    from markdown_it import MarkdownIt

    left = {name: f"data:{kind};base64,{data}" for name, kind, data in pictures}
    attached = dict(left)

    def image(tokens, index, options, env):
        token = tokens[index]
        source, words = str(token.attrs.get("src", "")), token.content
        name = unquote(source.removeprefix("attachment:"))
        if source.startswith("attachment:") and name in attached:
            left.pop(name, None)
            return _image(attached[name], words or name)
        return f"(picture: {prose(words)} {prose(source)})"

    renderer = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    renderer.add_render_rule("image", lambda self, *arguments: image(*arguments))
    body = renderer.render(text)
    return body + "".join(f"<p>{_image(source, name)}</p>" for name, source in left.items())


def _image(source: str, words: str) -> str:
    return f'<img src="{prose(source)}" alt="{prose(words)}">'
