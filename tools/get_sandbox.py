"""Find bubblewrap, the sandbox of the grader's tests; install it where that is possible.

python tools/get_sandbox.py            install it if it is missing
python tools/get_sandbox.py --check    say what is not tested without it, if it is missing
"""

import shutil
import sys

from get_browser import install_by_apt

from resnet_edu.course.sandbox import problem


def main(arguments: list[str]) -> None:
    """Run the command line."""
    check = arguments == ["--check"]
    if not check and sys.platform == "linux" and not shutil.which("bwrap"):
        print("bubblewrap is missing, installing it", flush=True)
        install_by_apt("bubblewrap")
    if found := problem("bwrap"):
        print(f"no sandbox: tests of its walls are skipped, others grade without; bubblewrap: {found}")
    elif not check:
        print("sandbox: bubblewrap")


if __name__ == "__main__":
    main(sys.argv[1:])
