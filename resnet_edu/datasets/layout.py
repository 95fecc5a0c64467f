"""Which folders of a folder of images are splits and which are classes, and which files are pictures."""

import itertools
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from resnet_edu.datasets.pictures import HEIF, ending, endings

# The words by which people name a split, alone ("Validation") or within a name ("seg_train", "trainingSet").
WORDS = {
    **dict.fromkeys(("train", "training", "trainset", "trainingset", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "valset", "validationset", "dev", "eval", "evaluation"), "val"),
    **dict.fromkeys(("test", "testing", "testset", "testingset", "tst"), "test"),
}
SYSTEM = ("thumbs.db", "desktop.ini", "__macosx", "@eadir")  # what systems leave in folders
SHAPE = "the layout is <class>/*.jpg, or train/<class>/*.jpg and test/<class>/*.jpg"


@dataclass
class Layout:
    """The files of every class of every split; ``places`` are the splits' folders, ``notes`` what was left out."""

    files: dict[str, dict[str, list[str]]]
    places: dict[str, Path]
    notes: list[str] = field(default_factory=list)


def find_layout(path: Path) -> Layout:
    """Return the splits ``train``, ``val`` and ``test`` (or ``train`` alone: one tree), their classes and files.

    Raises ``FileNotFoundError`` and ``ValueError`` as ``image_folder``.
    """
    if not path.is_dir():
        what = f"{path} is a file, not a folder; unpack it and" if path.exists() else f"there is no folder {path};"
        raise FileNotFoundError(f"{what} give a folder with <class>/*.jpg, or with train/<class>/*.jpg and test/…")
    top = _unwrapped(path)
    places, ignored = _splits(top)
    left_out: Counter[str] = Counter()
    files = {part: _files_by_class(folder, left_out) for part, folder in places.items()}
    classes = list(files["train"])
    for part, found in files.items():
        if list(found) != classes:
            odd = ", ".join(sorted(set(found) ^ set(classes)))
            raise ValueError(f"{places[part]} must have the classes of {places['train']}; only one of them has {odd}")
    return Layout(files, places, _notes(path, ignored, left_out))


def _notes(path: Path, ignored: Sequence[Path], left_out: Counter[str]) -> list[str]:
    notes = []
    if ignored:
        notes.append(f"{path}: left out the folder {_list(entry.name for entry in ignored)}, which is no split")
    if left_out:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(left_out.items()))
        mend = "; pip install pillow-heif reads .heic" if set(HEIF) & set(left_out) else ""
        notes.append(f"{path}: left out {counts}{mend}")
    return notes


def visible(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the folders and the files in a folder, by name; hidden ones and those of the system left out."""
    entries = sorted(entry for entry in folder.iterdir() if _counts(entry.name))
    return [e for e in entries if e.is_dir()], [e for e in entries if not e.is_dir()]


def _counts(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in SYSTEM


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in visible(_unwrapped(folder))[0]]


def _unwrapped(folder: Path) -> Path:
    """Return the folder, or the one in it where it holds nothing else, as unpacked archives have it."""
    inner, files = visible(folder)
    if len(inner) == 1 and not any(ending(file) in endings() for file in files) and visible(inner[0])[0]:
        return _unwrapped(inner[0])
    return folder


def _role(folder: Path) -> str | None:
    """Return the split that a folder's name means, if it means one; a longer name counts if folders are inside."""
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", folder.name).lower())
    roles = {WORDS[word] for word in words if word in WORDS}
    return roles.pop() if len(roles) == 1 and (len(words) == 1 or len(_names(folder)) > 1) else None


def _splits(path: Path) -> tuple[dict[str, Path], list[Path]]:
    """Return the folders of the splits, and the folders beside them that are none."""
    folders, _ = visible(path)
    by_role: dict[str, list[Path]] = {}
    for folder in folders:
        by_role.setdefault(_role(folder), []).append(folder)
    others = by_role.pop(None, [])
    for role, same in by_role.items():
        if len(same) > 1:
            raise ValueError(f"{path} has {_list(f.name for f in same)}, which all mean {role}; keep one, or join them")
    if {*by_role} == {"val", "test"}:
        names = " and ".join(by_role[part][0].name for part in ("val", "test"))
        raise ValueError(f"{path} has {names} but no train; put the training images into {path / 'train'}/<class>")
    if "train" in by_role and len(by_role) > 1:
        return {part: _unwrapped(by_role[part][0]) for part in ("train", "val", "test") if part in by_role}, others
    _check_classes(path, folders, by_role)
    return {"train": path}, []


def _check_classes(path: Path, folders: list[Path], by_role: dict[str, list[Path]]) -> None:
    """Raise where folders that would be taken for classes are splits: they hold the same folders, or are named so."""
    inside = {folder: _names(folder) for folder in folders}
    for one, other in itertools.combinations(folders, 2):
        same = [name for name in inside[one] if name in inside[other]]
        if len(same) > 1 and {name for name in same if name.lower() in WORDS} == set(same):
            raise ValueError(
                f"{one} and {other} hold the same folders {_list(same)}; splits come first: "
                f"{same[0]}/{one.name}, {same[0]}/{other.name}, {same[1]}/{one.name} …"
            )
        if len(same) > 1:
            raise ValueError(
                f"{one} and {other} hold the same folders {_list(same)}, so they are splits and no classes; name them "
                "train and test (and val), or, if they are classes, put their images directly into them"
            )
    for folder in by_role.get("train", []):
        if len(inside[folder]) > 1 and len(folders) > 1:
            rest = _list(other.name for other in folders if other != folder)
            raise ValueError(
                f"{folder} holds folders of its own ({_list(inside[folder])}), so it is a split and no class, but "
                f"{path} has no test or val beside it; give {folder} alone, or rename {rest}"
            )


def _files_by_class(folder: Path, left_out: Counter[str]) -> dict[str, list[str]]:
    """Return the pictures by class, both in alphabetical order; count all other files by their ending."""
    folders, beside = visible(folder)
    classes = [entry.name for entry in folders]
    if len(classes) < 2:
        raise ValueError(
            f"{folder} must hold a folder of images for each of at least 2 classes, found {classes}; {SHAPE}"
        )
    outside = sum(ending(file) in endings() for file in beside)
    if outside:
        left_out[f"image(s) directly in {folder}"] = outside
    left_out.update(ending(file) or "without an ending" for file in beside if ending(file) not in endings())
    files = {name: _pictures(folder / name, left_out) for name in classes}
    for name in classes:
        if not files[name]:
            kinds = " ".join(sorted(endings()))
            raise FileNotFoundError(f"{folder / name} holds no image ({kinds}); add some, or remove the folder")
    return files


def _pictures(folder: Path, left_out: Counter[str]) -> list[str]:
    def refuse(error: OSError) -> None:  # os.walk would pass over a folder that it may not read
        raise error

    found = []
    for place, inner, names in os.walk(folder, followlinks=True, onerror=refuse):
        inner[:] = sorted(filter(_counts, inner))
        for name in sorted(filter(_counts, names)):
            if ending(name) in endings():
                found.append((place, name))
            else:
                left_out[ending(name) or "without an ending"] += 1
    return [os.path.join(*pair) for pair in sorted(found)]  # the order of torchvision's ImageFolder


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(str, names))
