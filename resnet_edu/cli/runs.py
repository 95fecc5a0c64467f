"""The command line ``resnet-edu runs``: list, show, check, record and compare recorded runs."""

import argparse
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from resnet_edu import experiments, runs


def add_runs(commands: argparse._SubParsersAction) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("runs", help="list, show, check, record and compare recorded runs")
    actions = parser.add_subparsers(dest="action", required=True, metavar="action")
    bank = argparse.ArgumentParser(add_help=False)
    bank.add_argument("--bank", type=Path, metavar="DIR", help="folder of the records (default: the package's own)")

    def action(name: str, function, text: str) -> argparse.ArgumentParser:
        added = actions.add_parser(name, help=text, description=text, parents=[bank])
        added.set_defaults(run=function)
        return added

    action("list", _list, "list the experiments and how many of their runs are recorded")
    show = action("show", _show, "show an experiment's results, mean ± standard deviation over seeds, or one record")
    show.add_argument("experiment")
    show.add_argument("record", nargs="?", metavar="run", help="one run, whole, as JSON")
    show.add_argument("--metric", action="append", help="train_error, test_loss, lesions.mean, gradients.ratio@0 …")
    verify = action("verify", _verify, "check files, definitions and claims")
    verify.add_argument("experiment", nargs="*", help="(default: all)")
    record = action("record", _record, "run what is missing, the most informative first; go on where it stopped")
    record.add_argument("experiment", nargs="*", help="what to record; see: resnet-edu runs list")
    record.add_argument("--all", action="store_true", help="all experiments that need no --path")
    record.add_argument("--only", metavar="RUN", help="this run alone")
    record.add_argument("--device", help="cpu, cuda, mps … (default: the GPU if there is one)")
    record.add_argument("--path", help="folder of the images, for an experiment on images of a folder")
    record.add_argument("--jobs", type=int, help="processes (default: one a CPU core, or one for a GPU)")
    record.add_argument("--rehearse", action="store_true", help="go through every step quickly, and record nothing")
    record.add_argument("--budget", type=_seconds, default=float("inf"), help="begin nothing that would end later: 25m")
    compare = action("compare", _compare, "compare two cells of an experiment by a paired test over seeds")
    compare.add_argument("experiment")
    compare.add_argument("first", help="settings, as in: depth=56,shortcut=none")
    compare.add_argument("second")
    compare.add_argument("--metric", default="train_error", help="(default: train_error)")


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)?", text)
    if not found:
        raise argparse.ArgumentTypeError(f"must be a time such as 90s, 25m or 2h, got {text!r}")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2] or "s"]


def _cell(text: str) -> dict:
    cell = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"a cell must be settings such as depth=56,shortcut=none, got {text!r}")
        try:
            cell[key] = json.loads(value)
        except ValueError:
            cell[key] = value
    return cell


def _list(options: argparse.Namespace) -> int:
    rows = [("experiment", "recorded", "seeds", "data", "title")]
    for name in experiments.names():
        one = experiments.load(name)
        recorded = len(one.runs) - len(one.missing(options.bank))
        needs = f" (needs {one.needs.upper()})" if one.needs else ""
        rows.append((name, f"{recorded}/{len(one.runs)}", str(one.seeds), one.label or one.data, one.title + needs))
    _print_table(rows)
    return 0


def _show(options: argparse.Namespace) -> int:
    found = runs.load(options.experiment, options.bank)
    if options.record:
        (one,) = [record for record in found if record["run"] == options.record] or [None]
        if one is None:
            raise ValueError(f"{options.experiment} holds no run {options.record!r}; it holds {len(found)} others")
        print(json.dumps(one, indent=1))
        return 0
    definition = experiments.load(options.experiment)
    if not found.records:
        again = f"resnet-edu runs record {options.experiment}"
        raise ValueError(f"no record of {options.experiment} can be used; run: {again}")
    metrics = options.metric or (["train_error", "test_error"] if found.records[0]["epochs"] else ["gradients.ratio@0"])
    rows = [("run", *metrics)]
    for cell in definition.cells:
        try:
            chosen = found.select(**cell)
            numbers = [f"{chosen.last(metric):.3g}" for metric in metrics]
        except runs.NotRecorded:
            numbers = ["not recorded"] * len(metrics)
        rows.append((", ".join(f"{key}={value}" for key, value in cell.items()), *numbers))
    first = found.records[0]
    print(f"{definition.title}. {first['data']['label']}, {first['device']}, torch {first['versions']['torch']}")
    print(definition.protocol)
    _print_table(rows)
    for claim in definition.claims:
        verdict, numbers = claim.verdict(found)
        print(f"{'FAILS' if verdict == 'fails' else verdict}: {claim.text} ({numbers})")
    return 0


def _verify(options: argparse.Namespace) -> int:
    problems = [] if options.experiment else runs.verify(options.bank)
    checked = 0
    for name in options.experiment or experiments.names():
        definition = experiments.load(name)
        problems += definition.problems(options.bank)
        checked += len(definition.claims)
    for problem in problems:
        print(problem)
    total = sum(len(runs.record_files(name, options.bank)) for name in runs.names(options.bank))
    print(f"{total} records, {checked} claims: {f'{len(problems)} problems' if problems else 'sound'}")
    return 1 if problems else 0


def _record(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from resnet_edu.distributed import own_device

    names = list(options.experiment)
    if options.all:
        names += [name for name in experiments.names() if experiments.load(name).data != "image_folder"]
    if not names:
        raise ValueError("name an experiment, or give --all; there are: " + ", ".join(experiments.names()))
    wanted = [run for name in dict.fromkeys(names) for run in experiments.load(name).missing(options.bank)]
    if options.only:
        known = [run.name for name in names for run in experiments.load(name).runs]
        if options.only not in known:
            raise ValueError(f"{', '.join(names)} has no run {options.only!r}; the first is {known[0]!r}")
        wanted = [run for run in wanted if run.name == options.only]
    if options.rehearse:
        return _rehearse(wanted, options.device)
    device = str(own_device(options.device))  # under torchrun a process's own
    for name in dict.fromkeys(run.experiment for run in wanted):
        needs = experiments.load(name).needs
        if needs and not device.startswith(needs):
            raise ValueError(f"{name} needs a {needs.upper()} device, got {device}; --rehearse tries it on any")
    rank, count = experiments.share()
    wanted = wanted[rank::count]
    if not wanted:
        print("nothing is missing")
        return 0
    made = experiments.record_all(
        wanted, device=device, path=options.path, jobs=options.jobs, budget=options.budget, bank=options.bank
    )
    done = 0
    form = "{percentage:3.0f}%|{bar}| {elapsed}, {remaining} left{postfix}"
    with tqdm(total=sum(experiments.cost(run.settings) for run in wanted), bar_format=form, position=rank) as bar:
        for record in made:
            done += 1
            bar.update(experiments.cost(record["settings"]))
            bar.set_postfix_str(f"{done}/{len(wanted)} runs")
            tqdm.write(_line(record))
    left = len(wanted) - done
    print(f"recorded: {done} of {len(wanted)}" + (f"; {left} left, give the same command again" if left else ""))
    return 0


def _rehearse(wanted: Sequence[experiments.Run], device: str | None) -> int:
    from tqdm import tqdm

    for run in tqdm(wanted, unit="run", disable=None):
        tqdm.write(_line(experiments.rehearse(run, device=device)))
    print(f"rehearsed: {len(wanted)} runs, nothing was recorded")
    return 0


def _line(record: dict) -> str:
    outcome = "measured"
    if record["diverged"]:
        outcome = "diverged"
    elif record["epochs"]:
        train, test = (record["epochs"][column][-1] for column in ("train_error", "test_error"))
        outcome = f"training error {train:.2f} %, test error {test:.2f} %"
    return f"{record['experiment']}/{record['run']}: {outcome}, {record['seconds']:.0f} s"


def _compare(options: argparse.Namespace) -> int:
    found = runs.load(options.experiment, options.bank)
    first, second = (found.select(**_cell(text)) for text in (options.first, options.second))
    for text, cell in ((options.first, first), (options.second, second)):
        print(f"{text}: {options.metric} {cell.last(options.metric):.3g}")
    print(runs.compare(first, second, options.metric))
    return 0


def _print_table(rows: Iterable[Sequence[str]]) -> None:
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())
