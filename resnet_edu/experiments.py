"""Experiments as data, and how they are run: each file of ``experiments/`` says what to record, and why.

A definition is a TOML file:

* ``title``, ``page`` (whose claim it serves), ``protocol`` (a sentence: what is fixed, chosen before the runs),
  ``budget`` (what a whole recording took on two cores);
* ``data``, and for a folder of images ``label`` and ``checksum``;
* ``needs``: ``"cuda"`` for what only a GPU does in bearable time; the bank may lack such runs;
* ``seeds``: how many;
* ``[settings]``: what all runs share: options of ``Trial``, ``cifar_resnet`` and ``TrainConfig``; ``log_every``
  samples the steps. ``epochs = 0`` measures new networks;
* ``[measure]``: what is measured (``MEASURES``), with the epochs after which (``-1``: the last);
* ``[[grid]]``: settings that vary; a list gives one run for each value, several lists every combination. Grids and
  values stand in the order in which they are run, all with the first seed before any with the second. ``seeds`` gives
  a grid fewer seeds than the rest;
* ``[[claim]]``: what a page says, checked against the records (``Claim``).
"""

import datetime
import hashlib
import itertools
import os
import platform
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property, lru_cache
from pathlib import Path

from resnet_edu import __version__, runs

FOLDER = Path(__file__).parent / "experiments"
# The modules on which a recorded number depends.
CODE = (
    "blocks", "networks", "datasets", "training", "trials", "probes", "interventions", "landscape", "transfer",
    "measures",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One network of an experiment: its name (the record's file), seed and settings; the images by label, checksum."""

    experiment: str
    name: str
    seed: int
    settings: Mapping[str, object]
    label: str
    checksum: str

    def is_recorded(self, sums: Mapping[str, str], bank: Path | None = None) -> bool:
        """Return whether the bank has a usable record made from these settings; ``sums``: ``runs.read_sums``."""
        file = (bank or runs.BANK) / self.experiment / f"{self.name}.json"
        try:
            return file.exists() and runs.read(file, sums)["settings"] == self.settings
        except runs.RecordError:
            return False


@dataclass(frozen=True)
class Claim:
    """A sentence of a page with what must hold in the records for it to stand.

    Either the metric of ``higher`` is higher than that of ``lower`` by at least ``by`` on average, and a paired
    two-sided t-test gives a probability below ``p``; or the mean over the seeds of every cell in ``cells``
    lies within ``at_least`` and ``at_most``. A cell is a table of settings, a metric as in ``runs.number``.

    ``decided`` says whether the sentence and its threshold were written down ``"before"`` the first of the runs, or
    ``"after"`` it: then the claim describes the records and tests nothing.
    """

    text: str
    metric: str
    page: str = ""
    higher: Mapping | None = None
    lower: Mapping | None = None
    p: float = 0.05
    by: float = 0.0
    cells: Sequence[Mapping] = ()
    at_least: float = float("-inf")
    at_most: float = float("inf")
    decided: str = "after"

    def __post_init__(self):
        if self.decided not in ("before", "after"):
            raise ValueError(f"decided must be 'before' or 'after' the runs, got {self.decided!r}")

    def check(self, records: runs.Runs) -> tuple[bool, str]:
        """Return whether the claim holds, and the numbers in a line."""
        if self.higher is not None:
            first, second = records.select(**self.higher), records.select(**self.lower)
            test = runs.compare(first, second, self.metric)
            line = f"{first.last(self.metric):.2f} against {second.last(self.metric):.2f}; {test}"
            return test.p < self.p and test.difference >= self.by, line
        samples = [records.select(**cell).last(self.metric) for cell in self.cells]
        holds = all(self.at_least <= sample.mean <= self.at_most for sample in samples)
        return holds, "; ".join(format(sample, ".3g") for sample in samples)

    def verdict(self, records: runs.Runs) -> tuple[str, str]:
        """Return "holds", "fails" or "waits", and the numbers or what is not recorded yet, in a line."""
        try:
            holds, numbers = self.check(records)
        except (runs.NotRecorded, ValueError) as error:
            return "waits", f"not recorded in full: {error}"
        return ("holds" if holds else "fails"), numbers


@dataclass(frozen=True)
class Experiment:
    """A definition, read and checked. See the module for what the fields mean."""

    name: str
    title: str
    page: str
    protocol: str
    budget: str
    seeds: int
    settings: Mapping[str, object]
    grid: Sequence[Mapping[str, object]]
    data: str = "digits"
    label: str = ""
    checksum: str = ""
    needs: str = ""
    measure: Mapping[str, Sequence[int]] | None = None
    claims: Sequence[Claim] = ()

    @cached_property
    def _cells(self) -> list[tuple[dict, int]]:
        found = []
        for grid in self.grid:
            settings = {key: value if isinstance(value, list) else [value] for key, value in grid.items()}
            (seeds,) = settings.pop("seeds", [self.seeds])
            found += [(dict(zip(settings, one, strict=True)), seeds) for one in itertools.product(*settings.values())]
        return found

    @property
    def cells(self) -> list[dict]:
        """The varied settings of each network, the most informative first."""
        return [cell for cell, _ in self._cells]

    @cached_property
    def runs(self) -> list[Run]:
        """All runs: every cell with the first seed, then with the second …"""
        varied = list(dict.fromkeys(key for cell in self.cells for key in cell))
        found = {}
        for seed, (cell, seeds) in itertools.product(range(self.seeds), self._cells):
            if seed >= seeds:
                continue
            settings = {**self.settings, **cell, "data": self.data, "measure": self.measure or {}}
            parts = [f"{key}-{cell[key]}" for key in varied if key in cell]
            name = "_".join([*parts, f"seed-{seed}"])
            found.setdefault(name, Run(self.name, name, seed, settings, self.label or self.data, self.checksum))
        return list(found.values())

    def missing(self, bank: Path | None = None) -> list[Run]:
        """Return the runs that have no record made from this definition."""
        sums = runs.read_sums(bank)
        return [run for run in self.runs if not run.is_recorded(sums, bank)]

    def stale(self, bank: Path | None = None) -> list[str]:
        """Return the records that are older than the definition or not part of it, a line each."""
        wanted = {run.name: run for run in self.runs}
        again = f"run: resnet-edu runs record {self.name}"
        lines = []
        for record in runs.load(self.name, bank):
            run = wanted.get(record["run"])
            if run is None:
                lines.append(f"{self.name}/{record['run']} is no longer part of the experiment; delete it")
            elif record["settings"] != run.settings:
                old, new = record["settings"], run.settings
                changed = ", ".join(sorted(key for key in {*old, *new} if old.get(key) != new.get(key)))
                lines.append(f"{self.name}/{record['run']} is older than the definition ({changed}); {again}")
        return lines

    def problems(self, bank: Path | None = None) -> list[str]:
        """Return what is wrong, a line each: records missing, older than the definition, claims that do not hold."""
        missing = self.missing(bank)
        if len(missing) == len(self.runs):
            return [] if self.needs else [f"{self.name} is not recorded; run: resnet-edu runs record {self.name}"]
        lines = self.stale(bank)
        if missing and not self.needs:
            lines.append(
                f"{self.name} lacks {len(missing)} of {len(self.runs)} runs; run: resnet-edu runs record {self.name}"
            )
        found = runs.load(self.name, bank)
        for claim in self.claims:
            verdict, numbers = claim.verdict(found)
            if verdict == "fails" or (verdict == "waits" and not self.needs):
                lines.append(f"{self.name}: the claim of {claim.page} does not hold: {claim.text} ({numbers})")
        return lines


def names() -> list[str]:
    """Return the names of all experiments."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str, folder: Path | None = None) -> Experiment:
    """Return an experiment's definition.

    Raises ``ValueError`` for an unknown experiment or a definition that does not fit.
    """
    file = (folder or FOLDER) / f"{name}.toml"
    if not file.exists():
        raise ValueError(f"there is no experiment {name!r}; there are: {', '.join(names())}")
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
        content["claims"] = [Claim(**{"page": content["page"]} | claim) for claim in content.pop("claim", [])]
        return Experiment(name=name, **content)
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(
            f"{file.name} is no definition of an experiment: {error}; see resnet_edu.experiments"
        ) from None


def rehearse(run: Run, *, device: str | None = None) -> dict:
    """Go through all that ``record`` would do, quickly, and keep nothing: to find a mistake before a long recording.

    The network has the run's depth and a width of 2, the images are drawn, there are four steps and then every
    measure. On the CPU what needs a GPU is left out.
    """
    from resnet_edu.datasets import synthetic

    data = synthetic(train=512, test=64).to(device or best_device())
    gpu = data.device.type == "cuda"
    measure = {name: [0, -1] for name in run.settings["measure"]}
    settings = {**run.settings, "width": 2, "epochs": 1, "log_every": 1, "measure": measure}
    settings["cuda_graph"] = gpu and settings.get("cuda_graph", False)
    with tempfile.TemporaryDirectory() as bank:
        made = _record(replace(run, settings=settings, label=data.name), data, "", Path(bank))
        runs.read(Path(bank, run.experiment, f"{run.name}.json"), runs.read_sums(Path(bank)))  # it must come back
    return made


def record(run: Run, *, device: str | None = None, path: str | None = None, bank: Path | None = None) -> dict:
    """Train one run, measure, write its record and return it. A diverged run is recorded as such.

    On the CPU a run computes on one thread, so that its numbers do not depend on what runs beside it. ``path`` is
    the folder of a data set of images. Raises ``ValueError`` if the images are not the experiment's.
    """
    data = _data(run, path, device or best_device())
    return _record(run, data, " --path FOLDER" if path else "", bank)


def _record(run: Run, data, given: str, bank: Path | None) -> dict:
    import torch

    from resnet_edu.measures import MEASURES
    from resnet_edu.training import DivergedError, StepRecord, TrainConfig, cpu_threads, train
    from resnet_edu.trials import Trial

    settings = {key: value for key, value in run.settings.items() if key not in ("data", "measure")}
    log_every, epochs = settings.pop("log_every", None), settings.pop("epochs")
    config = {f.name: settings.pop(f.name) for f in fields(TrainConfig) if f.name in settings}
    own = {f.name: settings.pop(f.name) for f in fields(Trial) if f.name in settings}
    config = TrainConfig(**config, epochs=max(1, epochs), seed=run.seed)
    started, clock = datetime.datetime.now(datetime.UTC), time.perf_counter()
    epoch_rows, step_rows, measured, diverged = [], [], {}, None

    def measure(epoch: int) -> None:
        for name, when in run.settings["measure"].items():
            if epoch in when or (epoch == epochs and -1 in when):
                measured.setdefault(name, {})[str(epoch)] = MEASURES[name](network, data, run.seed)

    with cpu_threads(1 if data.device.type == "cpu" else torch.get_num_threads()):
        network = Trial(**own, seed=run.seed, config=config, options=settings).build(data)
        measure(0)
        try:
            for one in train(network, data, config, log_every=log_every) if epochs else ():
                (step_rows if isinstance(one, StepRecord) else epoch_rows).append(asdict(one))
                if not isinstance(one, StepRecord):
                    measure(one.epoch)
        except DivergedError as error:
            diverged = str(error)
    made = {
        "schema": runs.SCHEMA,
        "experiment": run.experiment,
        "run": run.name,
        "seed": run.seed,
        "settings": run.settings,
        "data": {
            "name": data.name, "label": run.label, "checksum": data.checksum,
            "train": len(data.train), "test": len(data.test),
        },
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "resnet_edu": __version__},
        "code": code_version(),
        "device": _device_name(data.device),
        "started": started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "seconds": round(time.perf_counter() - clock, 2),
        "command": f"resnet-edu runs record {run.experiment} --only {run.name}{given}",
        "epochs": _columns(epoch_rows, "seconds"),
        "steps": _columns(step_rows, "epoch"),
        "measured": measured,
        "diverged": diverged,
    }  # fmt: skip
    runs.write(made, bank)
    return made


def record_all(
    wanted: Sequence[Run],
    *,
    device: str | None = None,
    path: str | None = None,
    jobs: int | None = None,
    budget: float = float("inf"),
    bank: Path | None = None,
) -> Iterator[dict]:
    """Record the runs in their order and yield each record when it is written; ``jobs`` processes share the work.

    No run is begun that would not end within ``budget`` seconds, judged by those before. A run that another program
    has recorded meanwhile is left out. Whoever stops iterating, or is killed, loses the runs in flight alone.
    """
    from joblib import Parallel, delayed

    device, bank = device or best_device(), bank or runs.BANK
    jobs = jobs or (os.cpu_count() or 1 if device == "cpu" else 1)
    clock = _Clock(budget)

    def due() -> Iterator:
        for run in wanted:
            if not clock.allows(run):
                return
            if not run.is_recorded(runs.read_sums(bank), bank):
                yield delayed(record)(run, device=device, path=path, bank=bank)

    for made in Parallel(n_jobs=jobs, return_as="generator_unordered", pre_dispatch=jobs, batch_size=1)(due()):
        clock.learn(made)
        yield made


def cost(settings: Mapping) -> float:
    """Return about how long a run takes, in units of its own: deeper, wider and longer runs take longer."""
    return settings["depth"] * settings.get("width", 8) * (settings["epochs"] + 1)


class _Clock:
    """Says whether a run still fits into the budget."""

    def __init__(self, budget: float):
        self.end, self.rate = time.monotonic() + budget, 0.0

    def allows(self, run: Run) -> bool:
        return time.monotonic() + self.rate * cost(run.settings) < self.end

    def learn(self, made: Mapping) -> None:
        self.rate = max(self.rate, made["seconds"] / cost(made["settings"]))


def share() -> tuple[int, int]:
    """Return this process's number and how many there are, as torchrun says; runs are then dealt out in turn.

    Each process trains networks of its own, on the GPU of its own number, so they need no connection.
    """
    rank, count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if count > 1:
        os.environ["WORLD_SIZE"] = "1"
    return rank, count


def code_version() -> str:
    """Return a short checksum of the modules on which a recorded number depends."""
    total = hashlib.sha256()
    for name in CODE:
        place = Path(__file__).parent / name
        for file in sorted(place.glob("*.py")) if place.is_dir() else [place.with_suffix(".py")]:
            total.update(file.read_bytes())
    return total.hexdigest()[:12]


@lru_cache(maxsize=1)
def _load_data(name: str, path: str | None, device: str):
    from resnet_edu.datasets import load as load_data

    return load_data(name, **({"path": path} if name == "image_folder" else {})).to(device)


def _data(run: Run, path: str | None, device: str):
    name = run.settings["data"]
    if name == "image_folder" and path is None:
        raise ValueError(f"{run.experiment} needs the images of {run.label}; name their folder with --path")
    data = _load_data(name, path, device)
    if run.checksum and data.checksum != run.checksum:
        raise ValueError(
            f"{run.experiment} needs {run.label} with the checksum {run.checksum}, the images in {path} have "
            f"{data.checksum}; see the definition for where they come from"
        )
    return data


def best_device() -> str:
    """Return the device on which a run is made if none is named."""
    from resnet_edu.distributed import own_device

    return str(own_device(None))


def _device_name(device) -> str:
    from resnet_edu.devices import device_name

    if device.type != "cpu":
        return device_name(device)
    return f"CPU ({platform.machine()}, one thread)"


def _columns(rows: Sequence[Mapping], left_out: str) -> dict[str, list]:
    """Return rows as columns, without one, and without those that have no value."""
    keys = [key for key in (rows[0] if rows else ()) if key != left_out and rows[0][key] is not None]
    return {key: [row[key] for row in rows] for key in keys}
