"""Find a Chromium for the browser tests; install one where there is none.

    python tools/get_browser.py             prints the program that the tests will use
    python tools/get_browser.py --others    Firefox and WebKitGTK, too, by Debian's packages

In this order: the system's Chromium or Chrome, Debian's package, Playwright's own.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from resnet_edu.doctor import find_browser


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


def install() -> None:
    """Install Debian's Chromium where that is possible, else Playwright's own."""
    release = Path("/etc/os-release")
    debian = release.exists() and "\nID=debian\n" in "\n" + release.read_text()  # Ubuntu's runs in no container
    if not (debian and install_by_apt("chromium")):
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


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
    if not find():
        print("no Chromium or Chrome found, installing one", flush=True)
        install()
    if not (path := find()):
        sys.exit("no browser could be installed; install Chromium or Chrome by hand, then run the command again")
    print(f"browser: {path}")


if __name__ == "__main__":
    main()
