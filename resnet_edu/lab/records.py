"""The run bank as the instrument ``recorded-results`` reads it: of every run its settings, numbers, curves and origin.

In columns, an entry a run, so that pages stay light: the names of settings and numbers stand once an experiment.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from resnet_edu import experiments, runs

CURVES = ("train_error", "test_error")  # kept epoch by epoch; of the other columns the last value
LAST = ("train_error", "test_error", "train_loss", "test_loss")

ORIGIN = ("device", "torch", "python", "resnet_edu", "code")


def bank_data(bank: Path | None = None) -> dict:
    """Return what is recorded, as JSON can hold it; records that cannot be used are left out (``runs.load`` warns).

    ``origins`` lists what made records: device, versions of PyTorch, Python and the package, the code's checksum.
    ``experiments`` has for each its ``name``, ``title``, ``page``, ``protocol``, ``images``, the settings that all runs
    ``shared`` and, as columns, those that vary (``settings``), what was measured (``numbers``, by metric as in
    ``runs.number``), the ``curves``, and of every run ``run``, ``seed``, ``origin``, ``started``, ``seconds``,
    ``command`` and ``diverged``.
    """
    origins: dict[tuple, int] = {}
    return {
        "experiments": [_experiment(name, bank, origins) for name in runs.names(bank)],
        "origins": [dict(zip(ORIGIN, one, strict=True)) for one in origins],
    }


def _experiment(name: str, bank: Path | None, origins: dict[tuple, int]) -> dict:
    found = list(runs.load(name, bank))
    known = name in experiments.names()
    definition = experiments.load(name) if known else None
    settings = [{key: value for key, value in one["settings"].items() if key != "measure"} for one in found]
    keys = list(dict.fromkeys(key for one in settings for key in one))
    varied = [key for key in keys if len({json.dumps(one.get(key)) for one in settings}) > 1]
    several = {kind for one in found for kind, by_epoch in one["measured"].items() if len(by_epoch) > 1}
    numbers = [_numbers(one, several) for one in found]
    metrics = list(dict.fromkeys(metric for one in numbers for metric in one))
    return {
        "name": name,
        "title": definition.title if known else name,
        "page": definition.page if known else "",
        "protocol": definition.protocol if known else "",
        "images": sorted({f"{one['data']['label']} ({one['data']['train']:,} to train)" for one in found}),
        "checksum": sorted({one["data"]["checksum"] for one in found}),
        "shared": {key: settings[0][key] for key in keys if key not in varied and settings},
        "settings": {key: [one.get(key) for one in settings] for key in varied},
        "numbers": {metric: [one.get(metric) for one in numbers] for metric in metrics},
        "curves": {column: [one["epochs"].get(column, []) for one in found] for column in CURVES},
        "run": [one["run"] for one in found],
        "seed": [one["seed"] for one in found],
        "origin": [origins.setdefault(_origin(one), len(origins)) for one in found],
        "started": [one["started"] for one in found],
        "seconds": [one["seconds"] for one in found],
        "command": [one["command"].replace(one["run"], "RUN") for one in found],
        "diverged": [one["diverged"] for one in found],
    }


def _origin(record: Mapping) -> tuple:
    versions = record["versions"]
    return record["device"], versions["torch"], versions["python"], versions["resnet_edu"], record["code"]


def _numbers(record: Mapping, several: set[str]) -> dict[str, float | None]:
    """Return what a record measured as single numbers, by metric; a diverged run has no errors at its end.

    ``several`` are the measurements that this experiment made after more than one epoch: the metric says which.
    """
    found = {}
    if not record["diverged"]:
        found = {column: record["epochs"][column][-1] for column in LAST if record["epochs"].get(column)}
    for name, by_epoch in record["measured"].items():
        for epoch, values in by_epoch.items():
            at = f"@{epoch}" if name in several else ""
            found |= {f"{name}.{key}{at}": one for key, one in values.items() if isinstance(one, int | float)}
    return found
