"""``python -m resnet_edu`` is the command ``resnet-edu``."""

import sys

from resnet_edu.cli import main

if __name__ == "__main__":
    sys.exit(main())
