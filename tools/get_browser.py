"""Find a Chromium for the browser tests; install one where there is none.

    python tools/get_browser.py             prints the program that the tests will use
    python tools/get_browser.py --others    Firefox and WebKitGTK, too, by Debian's packages

In this order: the Chromium without a window's parts, Debian's package chromium-headless-shell, which is installed where
Debian's packages can be had; the system's Chromium or Chrome; Playwright's own. It shows pages as the others do, for
three fifths of their processor's time (tests/browser/test_lab_own.py); Playwright's own comes in this form, too.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from resnet_edu.doctor import find_browser

QUICK = "chromium-headless-shell"


def find() -> str | None:
    """Return the path of a Chromium on this machine, or None."""
    if path := find_browser():
        return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def install_by_apt(*packages: str) -> bool:
    """Install some of Debian's packages, by sudo where root does not run this; return whether that worked."""
    if shutil.which("apt-get") is None:
        return False
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    commands = [[*sudo, "apt-get", "update", "-qq"], [*sudo, "apt-get", "install", "-y", "-qq", *packages]]
    try:
        return all(subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0 for command in commands)
    except OSError:  # such as no sudo
        return False


def is_debian() -> bool:
    """Return whether Debian's packages may be had; Ubuntu's Chromium runs in no container."""
    release = Path("/etc/os-release")
    return release.exists() and "\nID=debian\n" in "\n" + release.read_text()


def install() -> None:
    """Install Debian's Chromium for tests where that is possible; where there is no other at all, Playwright's own."""
    if debian := is_debian():
        print(f"installing {QUICK}", flush=True)
        if install_by_apt(QUICK):
            return
    if not (path := find()):
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    elif debian:
        print(f"{QUICK} could not be installed; the tests take longer with {path}")


def install_others() -> None:
    """Install Firefox and WebKitGTK's driver where Debian's packages can be had; say what is missing."""
    programs = {"firefox-esr": "firefox-esr", "WebKitWebDriver": "webkit2gtk-driver", "Xvfb": "xvfb"}
    if packages := [package for name, package in programs.items() if not shutil.which(name)]:
        print(f"installing {' '.join(packages)}", flush=True)
        install_by_apt(*packages)
    for name, package in programs.items():
        missing = f"not installed, its tests are skipped; on Debian: apt-get install {package}"
        print(f"{name}: {shutil.which(name) or missing}")


def main() -> None:
    """Run the command line."""
    if "--others" in sys.argv[1:]:
        install_others()
        return
    if not shutil.which(QUICK):
        install()
    if not (path := find()):
        sys.exit("no browser could be installed; install Chromium or Chrome by hand, then run the command again")
    print(f"browser: {path}")


if __name__ == "__main__":
    main()
