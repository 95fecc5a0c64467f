"""Offer Colab and Binder, and editions to download, where the addresses are known (``address.py``).

The buttons lead to the branch ``editions``, which the publishing workflow fills (``tools/editions.py``). A book built
elsewhere has no such button: a link to a repository that may not exist would be worse than none.
"""

import address


def set_repository(app, config):
    """Fill the theme's repository options."""
    repository = address.repository()
    if repository:
        buttons = {"binderhub_url": "https://mybinder.org", "notebook_interface": "jupyterlab"}
        if repository.startswith("https://github.com/"):
            buttons["colab_url"] = "https://colab.research.google.com"
        config.html_theme_options |= {
            "repository_url": repository,
            "repository_branch": address.EDITIONS,  # asked for by the launch buttons alone
            "path_to_docs": "",
            "use_repository_button": True,
            "use_issues_button": True,
            "launch_buttons": buttons,
        }


def offer_edition(app, pagename, templatename, context, doctree):
    """Let the download button give the notebook's edition: the source shows MyST raw and installs nothing."""
    if not address.site():
        return
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if button.get("url", "").endswith(".ipynb") and "_sources/" in button["url"]:
                button["url"] = f"{context['pathto']('editions', 1)}/{pagename}.ipynb"


def setup(app):
    """Register the extension."""
    app.connect("config-inited", set_repository, priority=100)  # before the theme reads its options
    app.connect("html-page-context", offer_edition, priority=900)  # after the theme has made its buttons
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
