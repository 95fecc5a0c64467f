"""Files that are whole or absent, whenever the program that writes them is cut off."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a new content for ``path``; it takes the old one's place once it is written and forced to the disk.

    It is written beside its place and then renamed, which the system does at once: a cut leaves the old file whole.
    One program at a time may write a path.
    """
    temporary = path.with_name(f".{path.name}.part")  # always the same: what a killed program left is written over
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
