"""Where the published site lies: what needs its address asks here, and does without where there is none.

In this order: the environment variable ``BOOK_URL``; GitHub's variables in a workflow, so that a fork needs no edit;
``project.urls`` in pyproject.toml (``Homepage`` or ``Documentation``).
"""

import os
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def site() -> str | None:
    """Return the address of the site's front page without a slash at its end, or None."""
    address = os.environ.get("BOOK_URL")
    if not address and (repository := os.environ.get("GITHUB_REPOSITORY")):
        owner, name = repository.split("/")
        host = f"{owner.lower()}.github.io"
        address = f"https://{host}" if name.lower() == host else f"https://{host}/{name}"
    if not address:
        urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"].get("urls", {})
        address = urls.get("Homepage") or urls.get("Documentation")
    return address.rstrip("/") if address else None
