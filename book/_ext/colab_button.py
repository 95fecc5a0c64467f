"""Offer a Colab button where the repository's address is known.

GitHub's publishing workflow sets ``GITHUB_REPOSITORY`` (owner/name). A book built elsewhere has no such button:
a link to a repository that may not exist would be worse than none.
"""

import os


def set_repository(app, config):
    """Fill the theme's repository options from the environment."""
    repository = os.environ.get("GITHUB_REPOSITORY")
    if repository:
        config.html_theme_options |= {
            "repository_url": f"https://github.com/{repository}",
            "repository_branch": os.environ.get("GITHUB_REF_NAME", "main"),
            "path_to_docs": "book",
            "use_repository_button": True,
            "use_issues_button": True,
            "launch_buttons": {"colab_url": "https://colab.research.google.com"},
        }


def setup(app):
    """Register the extension."""
    app.connect("config-inited", set_repository, priority=100)  # before the theme reads its options
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
