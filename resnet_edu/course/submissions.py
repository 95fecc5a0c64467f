"""A student's notebook as a list of cells with what grading needs to know of each; read in the sandbox.

``facts`` runs there, on bytes that a stranger sent; ``cells`` makes of its reply, which has limits, what is graded.
"""

import re
from dataclasses import dataclass

from resnet_edu.course.notebooks import Cell, UnreadableError, cells_of

LARGEST_PICTURE, LARGEST_PICTURES = 4 << 20, 12 << 20  # characters in base 64, of one and of all
MOST_NAMES = 500
DATA = re.compile(r"data:(image/[\w.+-]{1,40});base64,([A-Za-z0-9+/=]+)")
PICTURE = re.compile(r"image/(?:png|jpeg|gif|webp|svg\+xml)")


@dataclass(frozen=True)
class Picture:
    """A picture in a cell: its name there, its type, and its bytes in base 64."""

    name: str
    type: str
    data: str


class Submitted(Cell):
    """A student's cell. What it defines was found in the sandbox, so nothing of it is parsed here."""

    @classmethod
    def of(cls, fact: dict) -> "Submitted":
        """Make a cell of one fact."""
        metadata = {"nbgrader": {"grade_id": fact["name"]}} if fact["graded"] else {}
        cell = cls(fact["name"], fact["kind"], fact["source"], metadata)
        cell.__dict__.update({key: frozenset(fact[key]) for key in ("defines", "binds", "imports")})
        cell.__dict__["pictures"] = tuple(Picture(*each) for each in fact["pictures"])
        return cell


def facts(notebook: dict) -> list[dict]:
    """Return what grading needs to know of each cell of a notebook that ``parse`` returned."""
    found, left = [], LARGEST_PICTURES
    for cell, raw in zip(cells_of(notebook), notebook["cells"], strict=True):
        source, pictures = cell.source.replace("\r\n", "\n").replace("\r", "\n"), []
        if cell.kind != "code":
            source, pictures = _pictures(source, raw.get("attachments"), left)
            left -= sum(len(data) for _, _, data in pictures)
        names = {key: _short(getattr(cell, key)) if cell.kind == "code" else [] for key in FACTS}
        found.append({"name": cell.name[:200] if cell.name else None, "kind": cell.kind, "source": source,
                      "graded": bool(cell.nbgrader), "pictures": pictures, **names})  # fmt: skip
    return found


FACTS = ("defines", "binds", "imports")


def _short(names: frozenset[str]) -> list[str]:
    return sorted(name[:200] for name in names)[:MOST_NAMES]


def _pictures(source: str, attachments: object, left: int) -> tuple[str, list[list[str]]]:
    """Return a text with its pictures taken out of it, and the pictures; one that is too large is named there."""
    found: list[list[str]] = []
    remarks = []

    def keep(name: str, kind: str, data: str) -> bool:
        room = left - sum(len(each[2]) for each in found)
        if len(data) > min(LARGEST_PICTURE, room) or not PICTURE.fullmatch(kind):
            remarks.append(f"({name}: a picture of {len(data) * 3 / 4e6:.1f} MB, {kind}, is not shown here; "
                           "it stands in the notebook)")  # fmt: skip
            return False
        found.append([name, kind, data])
        return True

    def address(match: re.Match) -> str:
        name = f"picture-{len(found) + len(remarks) + 1}"
        keep(name, match[1], match[2])
        return f"attachment:{name}"

    source = DATA.sub(address, source)
    for name, kinds in attachments.items() if isinstance(attachments, dict) else ():
        for kind, data in list(kinds.items())[:1] if isinstance(kinds, dict) else ():
            data = "".join(data) if isinstance(data, list) and all(isinstance(d, str) for d in data) else data
            if isinstance(data, str) and isinstance(kind, str):
                keep(str(name)[:200], kind[:60], re.sub(r"[^A-Za-z0-9+/=]", "", data) if PICTURE.match(kind) else "")
    return "\n\n".join([source, *remarks]), found


def cells(reply: dict) -> list[Submitted]:
    """Return the cells from the sandbox's reply; raises ``UnreadableError`` where it could not read the notebook."""
    if isinstance(reply.get("unreadable"), str):
        raise UnreadableError(reply["unreadable"])
    if reply.get("outcome") == "timeout":
        raise UnreadableError("the notebook takes too long to be read; clear the outputs and hand in again")
    if not isinstance(reply.get("cells"), list):
        raise UnreadableError("the notebook cannot be read within the limits; clear the outputs and hand in again")
    return [Submitted.of(fact) for fact in reply["cells"]]
