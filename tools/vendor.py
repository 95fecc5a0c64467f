"""Fetch the third-party files that the pages load, and check that the committed copies are those.

    python tools/vendor.py          fetch from the npm registry, verify, write them (``VENDOR``, ``FRONT``)
    python tools/vendor.py --check  compare the committed files with book/assets/vendor/manifest.json

Only maintainers run the first form, to move to a newer version: building and testing use the committed files.
"""

import argparse
import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
VENDOR = ROOT / "book" / "assets" / "vendor"
FRONT = ROOT / "resnet_edu" / "lab" / "front" / "vendor"  # ships in the wheel: notebooks need it
MANIFEST = VENDOR / "manifest.json"
LATIN = "files/{font}-latin-wght-{style}.woff2"

# package@version, its sha512 (as the registry publishes it), {file in the package: file under vendor/, or under the
# lab's own (lab/…)}
PACKAGES = [
    (
        "mathjax@3.2.2",  # renders the equations; 3.x is what Sphinx 7 configures
        "Bt+SSVU8eBG27zChVewOicYs7Xsdt40qm4+UpHyX7k0/O9NliPc+x77k1/FEsPsjKPZGJvtRZM1vO+geW0OhGw==",
        {
            "es5/tex-chtml.js": "mathjax/tex-chtml.js",
            "es5/output/chtml/fonts/woff-v2/": "mathjax/output/chtml/fonts/woff-v2/",
            "es5/input/tex/extensions/": "mathjax/input/tex/extensions/",
            "LICENSE": "mathjax/LICENSE",
        },
    ),
    (
        "@fontsource-variable/source-serif-4@5.3.1",  # running text
        "4Rtay22SC4lMvw11r/+9kxANB6P3M0X8s1NudBC2v0J1KU2y3DcMoNcT3lBoZ/CqLirzf+StlO6UlJilyrvaUg==",
        {
            LATIN.format(font="source-serif-4", style="normal"): "fonts/source-serif-4-normal.woff2",
            LATIN.format(font="source-serif-4", style="italic"): "fonts/source-serif-4-italic.woff2",
            "LICENSE": "fonts/LICENSE-source-serif-4",
        },
    ),
    (
        "@fontsource-variable/inter@5.3.0",  # headings and controls
        "OupL48va4JNofb97w6NYeF9S7W/kHNKM0Er8Dem5nqi4jeOLrVJDoE8tZEpnMJmtkvNbB1EIPPwHcdkF6b1oUA==",
        {
            LATIN.format(font="inter", style="normal"): "fonts/inter-normal.woff2",
            "LICENSE": "fonts/LICENSE-inter",
        },
    ),
    (
        # The lab's templates. Tried against Preact 11.2 with htm and signals: 3.4 kB gzip against 10.2 kB, and half
        # the time for redrawing the 54 blocks of a network; an instrument's state is one object, drawn as a whole.
        "lit-html@3.3.3",
        "el8M6jK2o3RXBnrSHX3ZKrsN8zEV63pSExTO1wYJz7QndGYZ8353e2a5PPX+qHe2aGayfnchQmkAojaWAREOIA==",
        {
            "lit-html.js": "lab/lit-html.mjs",
            "directive.js": "lab/directive.mjs",
            "LICENSE": "lab/LICENSE-lit-html",
        },
    ),
]


def place(target: str) -> Path:
    """Return where a vendored file lies."""
    return FRONT / target.removeprefix("lab/") if target.startswith("lab/") else VENDOR / target


def fetch(package: str, sha512: str, files: dict[str, str]) -> None:
    """Download one package with npm, verify it, and copy the named files (a trailing / means a folder)."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True, capture_output=True)
        except FileNotFoundError:
            sys.exit("npm was not found; install Node.js to fetch vendored files")
        except subprocess.CalledProcessError as error:
            sys.exit(f"npm pack {package} failed:\n{error.stderr.decode()}")
        (archive,) = Path(folder).glob("*.tgz")
        found = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        if found != sha512:
            sys.exit(f"{package}: sha512 is {found}, expected {sha512}; nothing was copied")
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        for source, target in files.items():
            source_path, target_path = Path(folder, "package", source), place(target)
            target_path.parent.mkdir(parents=True, exist_ok=True)
            if source.endswith("/"):
                shutil.copytree(source_path, target_path, dirs_exist_ok=True)
            else:
                shutil.copy(source_path, target_path)


def hashes() -> dict[str, str]:
    """Return the SHA-256 of every vendored file, by its path as in ``PACKAGES``."""
    found = {}
    for folder, prefix in ((VENDOR, ""), (FRONT, "lab/")):
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path != MANIFEST):
            found[prefix + path.relative_to(folder).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def check() -> list[str]:
    """Return the vendored files that are missing, extra or changed, as lines to print."""
    expected, found = json.loads(MANIFEST.read_text())["files"], hashes()
    return [
        f"{path}: {'missing' if path not in found else 'not in the manifest' if path not in expected else 'changed'}"
        for path in sorted(expected.keys() | found.keys())
        if expected.get(path) != found.get(path)
    ]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="only compare the committed files")
    if parser.parse_args().check:
        if problems := check():
            sys.exit("\n".join([*problems, "run python tools/vendor.py to restore them"]))
        print(f"{len(hashes())} vendored files match the manifest")
        return
    for folder in (VENDOR, FRONT):
        shutil.rmtree(folder, ignore_errors=True)
    for package, sha512, files in PACKAGES:
        print(f"fetching {package}")
        fetch(package, sha512, files)
    manifest = {"packages": [package for package, _, _ in PACKAGES], "files": hashes()}
    MANIFEST.write_text(json.dumps(manifest, indent=1) + "\n")
    print(f"wrote {len(manifest['files'])} files to {VENDOR} and {FRONT}")


if __name__ == "__main__":
    main()
