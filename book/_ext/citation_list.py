"""Mend the bibliography for screen readers.

docutils marks the list of citations as ``role="list"`` and its entries as ``role="doc-biblioentry"``, which is no
list item: axe-core reports it. Without the role the entries stand on their own, as DPUB-ARIA 1.1 wants them.
"""


def drop_list_role(app, pagename, templatename, context, doctree):
    """Take the role away from the page's body."""
    if "body" in context:
        context["body"] = context["body"].replace(
            '<div role="list" class="citation-list">', '<div class="citation-list">'
        )


def setup(app):
    """Register the extension."""
    app.connect("html-page-context", drop_list_role)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
