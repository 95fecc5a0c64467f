"""Tables that people open in a spreadsheet: read whatever it saved, write nothing that it would run.

A spreadsheet may save with semicolons or tabs, with a byte-order mark, in UTF-16 or in the system's own encoding. A
table that is written back keeps the form in which it came.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from resnet_edu.files import replacing

FORMULA = ("=", "+", "-", "@", "\t", "\r")
MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


@dataclass
class Table:
    """Rows by column, and the form in which they are written back."""

    columns: list[str]
    rows: list[dict[str, str]]
    delimiter: str = ","
    encoding: str = "utf-8-sig"  # with a mark: without one, Excel takes UTF-8 for something else
    lines: list[int] = field(default_factory=list)  # where each row stands in the file


def read(path: Path) -> Table:
    """Read a table; raises ``ValueError`` if it is none."""
    content = path.read_bytes()
    encoding = next((name for mark, name in MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        encoding = "cp1252"  # what Excel calls CSV in western Europe and America
        text = content.decode(encoding, "replace")
    if text.startswith("sep=") and "\n" in text:  # a line for Excel alone
        text = text.split("\n", 1)[1]
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=lambda each: len(next(csv.reader([header], delimiter=each), [])))
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=False)
        columns = [column.strip() if column else "" for column in reader.fieldnames or []]
        reader.fieldnames = columns
        rows, lines = [], []
        for row in reader:
            rows.append({k: (v or "") for k, v in row.items() if isinstance(k, str)})
            lines.append(reader.line_num)
    except csv.Error as error:
        raise ValueError(f"{path} is no table: {error}; save it again as CSV") from None
    return Table(columns, rows, delimiter, encoding, lines)


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return a table's rows."""
    return read(path).rows


def write(path: Path, table: Table) -> None:
    """Write a table, whole or not at all: it may hold what an instructor has written."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(
        text, table.columns, delimiter=table.delimiter, lineterminator="\n", restval="", extrasaction="ignore"
    )
    writer.writeheader()
    writer.writerows(table.rows)
    encoding = "utf-8" if table.encoding == "cp1252" else table.encoding
    with replacing(path) as file:
        file.write(text.getvalue().encode(encoding))


def write_rows(path: Path, columns: Iterable[str], rows: Iterable[Mapping[str, str]], encoding: str = "utf-8-sig"):
    """Write a table of our own, with every cell disarmed."""
    safe_rows = [{key: safe(value) for key, value in row.items()} for row in rows]
    write(path, Table(list(columns), safe_rows, encoding=encoding))


def safe(text: str) -> str:
    """Return text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def unsafe(text: str) -> str:
    """Return what ``safe`` was given."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text


def printable(text: str, longest: int = 300) -> str:
    """Return one line of text that does nothing to a terminal: no escape sequences, no change of direction."""
    shown = "".join(
        char if unicodedata.category(char)[0] != "C" and unicodedata.category(char) not in ("Zl", "Zp")
        else char.encode("unicode_escape").decode() if ord(char) < 0xD800 or ord(char) > 0xDFFF
        else "\\ufffd"
        for char in text[: longest + 1]
    )  # fmt: skip
    return shown if len(text) <= longest else f"{shown[:longest]}…"


def same_id(text: str) -> str:
    """Return an id as it compares after a spreadsheet has taken it for a number: without leading zeros or ``.0``."""
    text = unsafe(text.strip())
    text = re.sub(r"[.,]0+$", "", text) if re.fullmatch(r"\d+[.,]0+", text) else text
    return text.lstrip("0") or text
