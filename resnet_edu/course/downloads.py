"""The files of a download, a zip or a folder, as a list: nothing of it is unpacked, no link is followed."""

import os
import re
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from resnet_edu.course.notebooks import LARGEST

MOST_FILES = 20_000


@dataclass(frozen=True)
class Found:
    """A file: its path inside the download, how it is opened, its time, and why it is not taken."""

    path: str
    read: Callable = field(compare=False)
    when: tuple
    problem: str | None


def files(download: Path) -> list[Found]:
    """Return all files of a zip or folder; raises ``ValueError`` if it is neither."""
    return _in_folder(download) if download.is_dir() else _in_archive(download)


def _in_folder(download: Path) -> list[Found]:
    found = []
    for folder, folders, names in os.walk(download):  # does not follow links
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            inside = path.relative_to(download).as_posix().encode("utf-8", "replace").decode()
            problem = "it is a link" if path.is_symlink() else None if path.is_file() else "it is no file"
            when = () if problem else (path.stat().st_mtime,)
            found.append(Found(inside, lambda path=path: path.open("rb"), when, problem or _kind(inside)))
    return found


def _in_archive(download: Path) -> list[Found]:
    try:
        archive = zipfile.ZipFile(download)
        entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError):
        raise ValueError(f"{download} is no zip; give the file as it was downloaded") from None
    if len(entries) > MOST_FILES:
        raise ValueError(f"{download} holds {len(entries):,} files, at most {MOST_FILES:,} are read; split it")
    return [
        Found(entry.filename, lambda entry=entry: archive.open(entry), entry.date_time, _problem(entry))
        for entry in entries
        if not entry.is_dir()
    ]


def _problem(entry: zipfile.ZipInfo) -> str | None:
    parts = PurePosixPath(entry.filename.replace("\\", "/")).parts
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "it is a link"
    if ".." in parts or entry.filename.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", entry.filename):
        return "its path leads out of the archive"
    if entry.file_size > LARGEST:
        return f"it has {entry.file_size / 1e6:,.0f} MB"
    if entry.flag_bits & 1:
        return "it is encrypted"
    return _kind(entry.filename)


def _kind(path: str) -> str | None:
    name = PurePosixPath(path).name
    if name.startswith(".") or "__MACOSX" in path or ".ipynb_checkpoints" in path:
        return "a file of the system"
    if name == "submission_metadata.yml" and path.count("/") <= 1:
        return "a list of Gradescope's"
    if name.lower().endswith(".zip"):
        return "a zip inside the download; unpack it and collect it by itself"
    return None if name.lower().endswith(".ipynb") else "no notebook"
