"""Take the picture of the front page that the README shows.

python tools/screenshot.py    writes .github/front-page.png from the built book
"""

from pathlib import Path

from get_browser import find
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]

if __name__ == "__main__":
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1180, "height": 900}, color_scheme="light")
        page.goto((ROOT / "book" / "_build" / "html" / "index.html").as_uri())
        page.wait_for_timeout(1000)
        page.screenshot(path=ROOT / ".github" / "front-page.png")
        browser.close()
