"""Where the book is published, and where its repository is: the only place that knows.

A workflow says so in its environment, a fork as well as the original: ``BOOK_URL``, the site's address, and what GitHub
sets, ``GITHUB_REPOSITORY`` (owner/name). Without them ``[project.urls]`` of ``pyproject.toml`` counts (``Homepage`` and
``Repository``). Where nothing is known, a book has no button and no link that would need an address: none is better
than one that leads nowhere.
"""

import os
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
EDITIONS = "editions"  # the branch with the notebooks that Colab and Binder open (tools/editions.py)


def _urls() -> dict[str, str]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"].get("urls", {})


def _checked(name: str, url: str) -> str:
    if not re.fullmatch(r"https?://[\w.-]+(:\d+)?(/[\w.~%-]+)*/?", url):
        raise ValueError(f"{name} must be an address such as https://owner.github.io/name, got {url!r}")
    return url.rstrip("/")


def repository() -> str | None:
    """Return the repository's address without a slash at the end, or None.

    Raises ``ValueError`` for something that is no address.
    """
    if name := os.environ.get("GITHUB_REPOSITORY"):
        server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
        return _checked("GITHUB_REPOSITORY", f"{server}/{name}")
    url = _urls().get("Repository")
    return _checked("Repository in pyproject.toml", url) if url else None


def site() -> str | None:
    """Return the published site's address without a slash at the end, or None.

    Raises ``ValueError`` for something that is no address.
    """
    if url := os.environ.get("BOOK_URL"):
        return _checked("BOOK_URL", url)
    if name := os.environ.get("GITHUB_REPOSITORY"):
        owner, _, repo = name.partition("/")
        pages = f"https://{owner.lower()}.github.io"
        return pages if repo.lower() == f"{owner}.github.io".lower() else f"{pages}/{repo}"
    url = _urls().get("Homepage")
    return _checked("Homepage in pyproject.toml", url) if url else None
