"""The run bank: recorded runs that pages, plots and the lab read from one place.

A record is one JSON file, ``bank/<experiment>/<run>.json``; ``bank/SHA256SUMS`` lists the checksums (``sha256sum -c``
reads it, too). What is recorded and why stands in ``experiments/*.toml``; ``resnet_edu.experiments`` makes records,
this module reads, checks and compares them. It needs neither torch nor a network.
"""

import hashlib
import json
import math
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from resnet_edu.files import replacing

SCHEMA = 1
BANK = Path(os.environ.get("RESNET_EDU_BANK", Path(__file__).parent / "bank"))
SUMS = "SHA256SUMS"
FIELDS = (
    "schema", "experiment", "run", "seed", "settings", "data", "versions", "code", "device", "started", "seconds",
    "command", "epochs", "steps", "measured", "diverged",
)  # fmt: skip


class RecordError(ValueError):
    """A record cannot be used; the message names the file, what is wrong and the mend."""


class NotRecorded(LookupError):
    """The bank has no such experiment, run or number; the message names what there is."""


class BankWarning(UserWarning):
    """Some records of an experiment cannot be used; the rest can."""


@dataclass(frozen=True)
class Sample:
    """One number from every run of a cell of an experiment, by seed: ``values`` ``(n,)``; ``unit`` for printing.

    ``diverged`` counts the runs that have none because their loss did not stay finite.
    """

    values: np.ndarray
    seeds: tuple[int, ...]
    unit: str = ""
    diverged: int = 0

    @property
    def n(self) -> int:
        """The number of values."""
        return len(self.values)

    @property
    def mean(self) -> float:
        """The mean, nan if there is no value."""
        return float(self.values.mean()) if self.n else math.nan

    @property
    def sd(self) -> float:
        """The standard deviation of a sample (n - 1), nan for fewer than two values."""
        return float(self.values.std(ddof=1)) if self.n > 1 else math.nan

    def __format__(self, spec: str) -> str:
        digits = spec or ".1f"
        if not self.n:
            return f"none (all {self.diverged} diverged)" if self.diverged else "none"
        lost = f", {self.diverged} diverged" if self.diverged else ""
        return f"{outcome(self.values, digits)}{self.unit} (n = {self.n}{lost})"

    def __str__(self) -> str:
        return format(self)


def scatters(values: np.ndarray) -> bool:
    """Return whether mean ± deviation would mislead: the deviation is above 1 and above half of the mean."""
    return bool(len(values) > 2 and values.std(ddof=1) > max(1.0, abs(values.mean()) / 2))


def short(value: float) -> str:
    """Return a number of two or three digits for prose and tables, a power of ten written out."""
    if value == 0 or 0.01 <= abs(value) < 10_000:
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2g}"
    digits, _, power = f"{value:.1e}".partition("e")
    return f"{digits}·10{str(int(power)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def outcome(values: np.ndarray, digits: str = ".1f") -> str:
    """Return a sample as text that no line breaks: ``1.3 ± 0.4``, or ``4.2 (0.8 to 28.9)`` where it ``scatters``.

    That is mean and standard deviation (n - 1), or median, lowest and highest; a single value stands alone, and
    none is a dash. From a hundred on numbers are ``short``: the decimals of such a mean mean nothing.
    """
    if not len(values):
        return "–"
    large = np.abs(values).max() >= 100

    def text(value: float) -> str:
        return short(value) if large else f"{value:{digits}}"

    if scatters(values):
        middle, low, high = (text(value) for value in (np.median(values), values.min(), values.max()))
        return f"{middle}\u00a0({low}\u00a0to\u00a0{high})"
    spread = f"\u00a0±\u00a0{text(values.std(ddof=1))}" if len(values) > 1 else ""
    return f"{text(values.mean())}{spread}"


@dataclass(frozen=True)
class PairedTest:
    """Whether two cells differ, seed by seed: a paired t-test.

    ``difference`` is the mean of first minus second over the ``n`` seeds that both have, ``agree`` of which differ in
    its direction; ``p`` is the two-sided probability of a mean at least as far from 0 if there were no difference.
    """

    difference: float
    n: int
    agree: int
    t: float
    p: float

    def __str__(self) -> str:
        return f"difference {self.difference:+.3g}, paired t({self.n - 1}) = {self.t:.2f}, two-sided p = {self.p:.2g}"


class Runs:
    """Records of one experiment, in the order of their names; ``cell`` has the settings by which they were selected."""

    def __init__(self, experiment: str, records: Sequence[Mapping], cell: Mapping[str, object] | None = None):
        self.experiment, self.records, self.cell = experiment, list(records), dict(cell or {})

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[Mapping]:
        return iter(self.records)

    def select(self, **settings: object) -> "Runs":
        """Return the records with these settings (``depth=56, shortcut="none"`` …).

        Raises ``NotRecorded`` if there is none.
        """
        found = self.where(**settings)
        if not found.records:
            known = {key: self.values(key) for key in settings}
            raise NotRecorded(
                f"{self.experiment} holds no run with {settings}; recorded are {known if self.records else 'none'}"
            )
        return found

    def where(self, **settings: object) -> "Runs":
        """Return the records with these settings, perhaps none.

        A record may lack a setting that others have: a gate's bias belongs to gates alone.
        """
        found = [one for one in self.records if all(_setting(one, key) == value for key, value in settings.items())]
        return Runs(self.experiment, found, self.cell | settings)

    def values(self, setting: str) -> list:
        """Return the different values of a setting, sorted. Raises ``NotRecorded`` if no record has it."""
        found = {_setting(one, setting) for one in self.records} - {None}
        if self.records and not found:
            others = ", ".join(sorted({key for one in self.records for key in one["settings"]}))
            raise NotRecorded(f"{self.experiment} has no setting {setting!r}; it has {others}")
        return sorted(found, key=lambda value: (str(type(value)), value))

    def last(self, metric: str, unit: str = "") -> Sample:
        """Return a metric's last value of each run: see ``metric``. A diverged run gives none."""
        ended = [one for one in self.records if not one["diverged"]]
        values = np.array([number(one, metric) for one in ended], dtype=float)
        return Sample(values, tuple(one["seed"] for one in ended), unit, len(self.records) - len(ended))

    def series(self, column: str) -> np.ndarray:
        """Return an epoch column (``train_error`` …) of all runs that did not diverge: ``(runs, epochs)``."""
        return np.array([one["epochs"][column] for one in self.records if not one["diverged"]], dtype=float)

    def measured(self, name: str, key: str, epoch: int | None = None) -> np.ndarray:
        """Return what was measured (``"gradient_norms", "layers"``) in each run after ``epoch`` (default: the last)."""
        return np.array([_measurement(one, name, epoch)[key] for one in self.records if not one["diverged"]])


def number(record: Mapping, metric: str) -> float:
    """Return one number of a record.

    ``metric`` is an epoch column, whose last value counts (``train_error``, ``test_error``, ``train_loss`` …), or a
    measurement and its key, after the last epoch or after a given one: ``lesions.mean``, ``gradient_norms.ratio@0``.

    Raises ``NotRecorded`` if the record has no such number.
    """
    name, dot, key = metric.partition(".")
    if not dot:
        if metric not in record["epochs"]:
            raise NotRecorded(f"{record['run']} has no epoch column {metric!r}; it has {', '.join(record['epochs'])}")
        return record["epochs"][metric][-1]
    key, at, epoch = key.partition("@")
    found = _measurement(record, name, int(epoch) if at else None)
    if key not in found:
        raise NotRecorded(f"{record['run']} has no {key!r} in {name}; it has {', '.join(found)}")
    return found[key]


def compare(first: Runs, second: Runs, metric: str) -> PairedTest:
    """Return how ``metric`` differs between ``first`` and ``second``, paired by seed.

    Raises ``ValueError`` if fewer than two seeds have both.
    """
    from scipy.stats import ttest_rel

    one, other = (
        dict(zip(sample.seeds, sample.values, strict=True)) for sample in (first.last(metric), second.last(metric))
    )
    seeds = sorted(one.keys() & other.keys())
    if len(seeds) < 2:
        raise ValueError(f"a paired test needs two seeds that both cells have, got {seeds}; record more seeds")
    a, b = np.array([one[seed] for seed in seeds]), np.array([other[seed] for seed in seeds])
    difference = float((a - b).mean())
    agree = int(((a - b) * difference > 0).sum())
    if np.ptp(a - b) == 0:  # no spread: the test has no scale
        t = math.copysign(math.inf, difference) if difference else 0.0
        return PairedTest(difference, len(seeds), agree, t, 0.0 if difference else 1.0)
    result = ttest_rel(a, b)
    return PairedTest(difference, len(seeds), agree, float(result.statistic), float(result.pvalue))


def load(experiment: str, bank: Path | None = None) -> Runs:
    """Return the records of an experiment.

    Records that cannot be used are left out with a ``BankWarning`` that says what is wrong with each. Raises
    ``LookupError`` if the bank has no such experiment.
    """
    bank = bank or BANK
    files = record_files(experiment, bank)
    if not files:
        known = ", ".join(names(bank)) or "none"
        raise NotRecorded(f"the bank has no experiment {experiment!r}; recorded are: {known}")
    sums, records = read_sums(bank), []
    for file in files:
        try:
            records.append(read(file, sums))
        except RecordError as error:
            warnings.warn(str(error), BankWarning, stacklevel=2)
    return Runs(experiment, records)


def names(bank: Path | None = None) -> list[str]:
    """Return the names of the experiments that have records."""
    bank = bank or BANK
    return sorted({path.parent.name for path in bank.glob("*/*.json")})


def record_files(experiment: str, bank: Path | None = None) -> list[Path]:
    """Return the record files of an experiment, sorted."""
    return sorted(((bank or BANK) / experiment).glob("*.json"))


def read(file: Path, sums: Mapping[str, str]) -> dict:
    """Return a record whose file is whole, listed and of a schema that this version reads; ``sums``: ``read_sums``.

    Raises ``RecordError`` otherwise.
    """
    name = f"{file.parent.name}/{file.name}"
    again = f"delete it and run: resnet-edu runs record {file.parent.name}"
    content = file.read_bytes()
    if name not in sums:
        raise RecordError(f"{name} is not listed in {SUMS}: it is not from this bank; {again}")
    if hashlib.sha256(content).hexdigest() != sums[name]:
        raise RecordError(f"{name} differs from its checksum in {SUMS}: it was changed or cut off; {again}")
    try:
        record = json.loads(content)
    except ValueError as error:
        raise RecordError(f"{name} is no JSON ({error}); {again}") from None
    if not isinstance(record, dict) or not isinstance(record.get("schema"), int):
        raise RecordError(f"{name} is no record of a run; {again}")
    if record["schema"] > SCHEMA:
        raise RecordError(
            f"{name} has schema {record['schema']}, this version reads up to {SCHEMA}; upgrade with: "
            "pip install --upgrade resnet-edu"
        )
    if missing := [field for field in FIELDS if field not in record]:
        raise RecordError(f"{name} lacks {', '.join(missing)}; {again}")
    if (record["experiment"], record["run"]) != (file.parent.name, file.stem):
        raise RecordError(f"{name} says that it is {record['experiment']}/{record['run']}; {again}")
    return record


def write(record: Mapping, bank: Path | None = None) -> Path:
    """Write a record and its checksum, each whole or not at all; others may write at the same time.

    Numbers keep five significant digits. Returns the file.
    """
    from filelock import FileLock

    bank = bank or BANK
    file = bank / record["experiment"] / f"{record['run']}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    ordered = {field: record[field] for field in FIELDS}
    content = (_text(_rounded(ordered)) + "\n").encode()
    with FileLock(bank / ".lock"):
        with replacing(file) as new:
            new.write(content)
        sums = read_sums(bank) | {f"{file.parent.name}/{file.name}": hashlib.sha256(content).hexdigest()}
        kept = {name: sums[name] for name in sorted(sums) if (bank / name).exists()}
        with replacing(bank / SUMS) as new:
            new.write("".join(f"{digest}  {name}\n" for name, digest in kept.items()).encode())
    return file


def read_sums(bank: Path | None = None) -> dict[str, str]:
    """Return the listed checksums by file name, ``experiment/run.json``."""
    path = (bank or BANK) / SUMS
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def verify(bank: Path | None = None) -> list[str]:
    """Return what is wrong with the bank's files, a line each; an empty list is a sound bank."""
    bank = bank or BANK
    sums, problems = read_sums(bank), []
    for name in names(bank):
        for file in record_files(name, bank):
            try:
                read(file, sums)
            except RecordError as error:
                problems.append(str(error))
    problems += [
        f"{name} is listed in {SUMS} and missing; restore it with: resnet-edu runs record {name.partition('/')[0]}"
        for name in sums
        if not (bank / name).exists()
    ]
    return problems


def _setting(record: Mapping, key: str) -> object:
    """Return a setting, None where the record has none of that name."""
    return record["seed"] if key == "seed" else record["settings"].get(key)


def _measurement(record: Mapping, name: str, epoch: int | None) -> Mapping:
    found = record["measured"].get(name)
    if found is None:
        raise NotRecorded(f"{record['run']} has no measurement {name!r}; it has {', '.join(record['measured'])}")
    key = max(found, key=int) if epoch is None else str(epoch)
    if key not in found:
        raise NotRecorded(f"{record['run']} has {name} after epochs {', '.join(found)}, not after {epoch}")
    return found[key]


def _rounded(value: object) -> object:
    """Round all numbers to five significant digits; what is not finite becomes null: JSON has no nan."""
    if isinstance(value, Mapping):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_rounded(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _text(record: Mapping) -> str:
    """Return JSON with a line for each field: short, and readable where it differs from another version."""
    lines = (f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}" for key, value in record.items())
    return "{\n" + ",\n".join(lines) + "\n}"
