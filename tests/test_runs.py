import hashlib
import json
import math
import multiprocessing
import operator
import os
import subprocess
import sys
import time
import tomllib
import warnings

import numpy as np
import pytest
from scipy import stats

from resnet_edu import cli, experiments, runs

TINY = """
title = "Tiny"
page = "degradation"
protocol = "A test."
budget = "1m"
seeds = 2

[settings]
width = 2
epochs = 1
batch_size = 256
log_every = 2

[measure]
gradients = [0, -1]

[[grid]]
depth = [14, 8]
shortcut = ["none", "A"]
"""


def made(run="a", experiment="one", seed=0, errors=(50.0, 10.0), **changes):
    settings = {"depth": 8, "shortcut": "A", "epochs": len(errors)}
    return {
        "schema": 1, "experiment": experiment, "run": run, "seed": seed, "settings": settings,
        "data": {"name": "digits", "label": "digits"}, "versions": {"torch": "2.0"}, "code": "c", "device": "CPU",
        "started": "2026-01-01T00:00:00Z", "seconds": 1.0, "command": "resnet-edu runs record one",
        "epochs": {"epoch": [1, 2], "train_error": list(errors)}, "steps": {},
        "measured": {"gradients": {"0": {"layers": [1.0, 2.0], "ratio": 0.5}, "2": {"layers": [3, 4], "ratio": 0.75}}},
        "diverged": None,
    } | changes  # fmt: skip


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """An experiment of eight small runs in an empty bank."""
    folder = tmp_path / "experiments"
    folder.mkdir()
    (folder / "tiny.toml").write_text(TINY)
    monkeypatch.setattr(experiments, "FOLDER", folder)
    monkeypatch.setattr(runs, "BANK", tmp_path / "bank")
    return folder / "tiny.toml"


def record_tiny(count=None, **options):
    wanted = experiments.load("tiny").missing()
    return list(experiments.record_all(wanted[:count], device="cpu", jobs=1, **options))


def numbers(record):
    return {key: record[key] for key in ("epochs", "steps", "measured", "settings", "data", "code")}


def test_a_record_comes_back_with_five_digits(tmp_path):
    exact = made(errors=(100 / 3, 1e-7 / 3), measured={"m": {"0": {"x": np.array([1 / 3, np.inf]), "n": np.int64(3)}}})
    file = runs.write(exact, tmp_path)
    back = runs.read(file, runs.read_sums(tmp_path))
    assert back["epochs"]["train_error"] == [33.333, 3.3333e-8]
    assert back["measured"]["m"]["0"] == {"x": [0.33333, None], "n": 3}
    assert (tmp_path / "SHA256SUMS").read_text().split() == [
        hashlib.sha256(file.read_bytes()).hexdigest(),
        "one/a.json",
    ]
    assert runs.verify(tmp_path) == []


def spoil_content(file, sums):
    file.write_bytes(file.read_bytes().replace(b"33.3", b"33.4").replace(b"50.0", b"51.0"))


def spoil_cut(file, sums):
    file.write_bytes(file.read_bytes()[:200])


def relist(file, sums, content):
    file.write_text(content)
    lines = sums.read_text().splitlines()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    sums.write_text(
        "".join(f"{digest if name.endswith('/b.json') else old}  {name}\n" for old, name in map(str.split, lines))
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_content, "differs from its checksum"),
        (spoil_cut, "differs from its checksum"),
        (lambda file, sums: sums.write_text(sums.read_text().replace("one/b.json", "one/z.json")), "not listed"),
        (lambda file, sums: relist(file, sums, "{"), "is no JSON"),
        (lambda file, sums: relist(file, sums, "[1]"), "is no record"),
        (lambda file, sums: relist(file, sums, json.dumps(made("b", schema=2))), "schema 2.*upgrade"),
        (lambda file, sums: relist(file, sums, json.dumps(made("c"))), "says that it is one/c"),
        (lambda file, sums: relist(file, sums, json.dumps({"schema": 1})), "lacks experiment, run"),
    ],
)
def test_a_record_that_cannot_be_used_is_named_and_the_rest_is_read(tmp_path, spoil, message):
    for name in "ab":
        runs.write(made(name), tmp_path)
    spoil(tmp_path / "one" / "b.json", tmp_path / "SHA256SUMS")
    with pytest.warns(runs.BankWarning, match=message):
        found = runs.load("one", tmp_path)
    assert [record["run"] for record in found] == ["a"]
    assert any("b.json" in line for line in runs.verify(tmp_path))


def test_a_listed_file_that_is_missing_is_named(tmp_path):
    runs.write(made(), tmp_path).unlink()
    (line,) = runs.verify(tmp_path)
    assert "one/a.json is listed" in line and "runs record one" in line


def test_a_write_that_fails_leaves_the_old_record(tmp_path, monkeypatch):
    file = runs.write(made(), tmp_path)
    before = file.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        runs.write(made(errors=(1.0, 1.0)), tmp_path)
    assert file.read_bytes() == before and sorted(path.name for path in file.parent.iterdir()) == ["a.json"]


def _write_many(bank, first):
    for number in range(first, first + 25):
        runs.write(made(f"r{number}"), bank)


def test_two_writers_lose_nothing(tmp_path):
    writers = [multiprocessing.get_context("spawn").Process(target=_write_many, args=(tmp_path, n)) for n in (0, 25)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(runs.load("one", tmp_path)) == 50 and runs.verify(tmp_path) == []


def test_numbers_of_records_are_found_by_name(tmp_path):
    for seed, last in enumerate((10.0, 12.0, 17.0)):
        runs.write(made(f"s{seed}", seed=seed, errors=(50.0, last)), tmp_path)
    runs.write(made("lost", seed=3, diverged="the loss became nan"), tmp_path)
    runs.write(made("other", seed=0, settings={"depth": 20, "shortcut": "A", "epochs": 2}), tmp_path)
    found = runs.load("one", tmp_path).select(depth=8, shortcut="A")
    sample = found.last("train_error", " %")
    assert sample.mean == 13 and sample.sd == pytest.approx(np.std([10, 12, 17], ddof=1)) and sample.diverged == 1
    assert str(sample) == "13.0\u00a0±\u00a03.6 % (n = 3, 1 diverged)"
    assert found.series("train_error").tolist() == [[50, 10], [50, 12], [50, 17]]
    assert found.last("gradients.ratio").values.tolist() == [0.75] * 3
    assert found.last("gradients.ratio@0").values.tolist() == [0.5] * 3
    assert found.measured("gradients", "layers", 2).tolist() == [[3, 4]] * 3
    assert runs.load("one", tmp_path).values("depth") == [8, 20]


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda found: found.select(depth=9), "depth': \\[8\\]"),
        (lambda found: found.select(colour=1), "no setting 'colour'"),
        (lambda found: found.last("speed"), "no epoch column 'speed'"),
        (lambda found: found.last("lesions.mean"), "no measurement 'lesions'"),
        (lambda found: found.last("gradients.sum"), "no 'sum' in gradients"),
        (lambda found: found.last("gradients.ratio@7"), "after epochs 0, 2, not after 7"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_ones(tmp_path, ask, message):
    runs.write(made(), tmp_path)
    with pytest.raises(LookupError, match=message):
        ask(runs.load("one", tmp_path))


def test_an_unknown_experiment_is_answered_with_the_known(tmp_path):
    runs.write(made(), tmp_path)
    with pytest.raises(LookupError, match="no experiment 'two'; recorded are: one"):
        runs.load("two", tmp_path)


def pair(first, second):
    def cell(values, seeds):
        return runs.Runs("one", [made(seed=s, errors=(0, v)) for s, v in zip(seeds, values, strict=True)])

    return cell(*first), cell(*second)


def test_the_paired_test_pairs_by_seed_and_agrees_with_the_formula():
    first, second = pair(([5.0, 7.0, 9.0, 1.0], [0, 1, 2, 9]), ([6.0, 4.0, 4.5], [2, 0, 1]))
    test = runs.compare(first, second, "train_error")
    differences = np.array([5 - 4, 7 - 4.5, 9 - 6])
    t = differences.mean() / (differences.std(ddof=1) / math.sqrt(3))
    assert (test.n, test.difference) == (3, pytest.approx(differences.mean()))
    assert test.t == pytest.approx(t) and test.p == pytest.approx(2 * stats.t.sf(t, 2))
    turned = runs.compare(second, first, "train_error")
    assert (turned.difference, turned.t, turned.p) == (pytest.approx(-test.difference), pytest.approx(-t), test.p)


def test_a_sample_that_scatters_shows_median_and_range():
    skewed, even = np.array([28.88, 0.835, 4.18, 2.85, 5.22]), np.array([58.9, 61.0, 64.1, 64.2, 68.4])
    assert runs.outcome(skewed) == "4.2\u00a0(0.8\u00a0to\u00a028.9)"
    assert runs.outcome(even) == f"{even.mean():.1f}\u00a0±\u00a0{even.std(ddof=1):.1f}"
    assert runs.outcome(skewed[:1]) == "28.9" and not runs.scatters(skewed[:2])
    assert not runs.scatters(skewed / 100)  # a scatter below one point is nothing to see
    assert runs.outcome(np.array([1089.4, 1500.2])) == "1,295\u00a0±\u00a0290"
    assert runs.outcome(np.array([4.565e15])) == "4.6·10¹⁵" and runs.outcome(np.array([])) == "–"
    assert f"{runs.Sample(skewed, (0, 1, 2, 3, 4)):.1f}" == f"{runs.outcome(skewed)} (n = 5)"


def test_equal_differences_and_too_few_seeds_are_told_apart():
    assert runs.compare(*pair(([3.0, 4.0], [0, 1]), ([1.0, 2.0], [0, 1])), "train_error").p == 0
    assert runs.compare(*pair(([1.0, 2.0], [0, 1]), ([3.0, 4.0], [0, 1])), "train_error").p == 0
    assert runs.compare(*pair(([1.0, 2.0], [0, 1]), ([1.0, 2.0], [0, 1])), "train_error").p == 1
    with pytest.raises(ValueError, match="two seeds"):
        runs.compare(*pair(([3.0], [0]), ([1.0], [0])), "train_error")


def test_runs_come_with_one_seed_of_everything_first(tiny):
    names = [run.name for run in experiments.load("tiny").runs]
    assert len(names) == len(set(names)) == 8
    assert names[:2] == ["depth-14_shortcut-none_seed-0", "depth-14_shortcut-A_seed-0"]
    assert [name[-1] for name in names] == list("00001111")


def test_a_grid_can_have_fewer_seeds_than_the_rest(tiny):
    tiny.write_text(tiny.read_text() + "\n[[grid]]\ndepth = 20\nshortcut = ['none', 'A']\nseeds = 1\n")
    one = experiments.load("tiny")
    assert len(one.runs) == 10 and {"depth": 20, "shortcut": "A"} in one.cells
    assert [run.seed for run in one.runs if run.settings["depth"] == 20] == [0, 0]
    assert all("seeds" not in run.settings for run in one.runs)


def test_a_deleted_record_is_restored_with_the_same_numbers(tiny):
    before = record_tiny(2)[1]
    assert before["measured"].keys() == {"gradients"} and [*before["measured"]["gradients"]] == ["0", "1"]
    assert (
        len(before["steps"]["loss"]) == 3 and before["data"]["checksum"] and before["command"].endswith(before["run"])
    )
    (runs.BANK / "tiny" / f"{before['run']}.json").unlink()
    assert next(run.name for run in experiments.load("tiny").missing()) == before["run"]
    (after,) = record_tiny(1)
    assert after["run"] == before["run"]
    assert numbers(after) == numbers(before)


def test_a_record_agrees_with_training_by_hand(tiny):
    from resnet_edu.datasets import digits
    from resnet_edu.training import TrainConfig
    from resnet_edu.trials import Trial, run_trial

    (record,) = record_tiny(1)
    config = TrainConfig(epochs=1, batch_size=256)
    last = run_trial(Trial(14, "none", 0, width=2, config=config), digits()).last
    assert record["epochs"]["train_error"] == [last.train_error] and record["epochs"]["test_loss"] == [last.test_loss]


def test_a_changed_definition_makes_records_stale(tiny):
    record_tiny(1)
    assert experiments.load("tiny").stale() == []
    tiny.write_text(TINY.replace("width = 2", "width = 3"))
    (line,) = experiments.load("tiny").stale()
    assert "older than the definition (width)" in line
    assert len(experiments.load("tiny").missing()) == 8
    tiny.write_text(TINY.replace("depth = [14, 8]", "depth = [8]"))
    (line,) = experiments.load("tiny").stale()
    assert "no longer part" in line


def test_a_budget_begins_nothing_that_would_end_later(tiny):
    assert record_tiny(budget=0) == []
    clock = experiments._Clock(1000)
    run = experiments.load("tiny").runs[0]
    assert clock.allows(run)
    clock.learn({"seconds": 2000, "settings": run.settings})
    assert not clock.allows(run)


def test_who_stops_iterating_keeps_what_is_done(tiny):
    wanted = experiments.load("tiny").missing()
    stream = experiments.record_all(wanted, device="cpu", jobs=1)
    first = next(stream)
    stream.close()
    assert first["run"] in [record["run"] for record in runs.load("tiny")]
    assert len(experiments.load("tiny").missing()) >= len(wanted) - 2


def test_a_killed_recording_loses_the_run_in_flight_alone(tiny, tmp_path):
    tiny.write_text(TINY.replace("epochs = 1", "epochs = 2").replace("seeds = 2", "seeds = 20"))
    code = (
        "from pathlib import Path; from resnet_edu import experiments, runs\n"
        f"experiments.FOLDER = Path({str(tiny.parent)!r})\n"
        "for r in experiments.record_all(experiments.load('tiny').missing(), device='cpu', jobs=1): pass"
    )
    environment = os.environ | {"RESNET_EDU_BANK": str(tmp_path / "bank")}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    while len(runs.record_files("tiny")) < 3:
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    written = len(runs.record_files("tiny"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", runs.BankWarning)  # killed between a record and its line in the list
        assert len(runs.load("tiny")) >= written - 1
    assert len(experiments.load("tiny").missing()) <= 80 - written + 1
    record_tiny(1)
    assert not list((tmp_path / "bank").glob("**/*.part")) or len(runs.load("tiny")) >= written


def test_torchrun_deals_the_runs_out(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert experiments.share() == (1, 3)
    assert os.environ["WORLD_SIZE"] == "1", "each process trains networks of its own"


def test_other_images_are_refused(tiny):
    tiny.write_text('checksum = "0"\n' + TINY)
    with pytest.raises(ValueError, match="checksum 0"):
        record_tiny(1)


def test_claims_are_checked_against_the_records():
    first, second = pair(([50.0, 60.0, 55.0], [0, 1, 2]), ([1.0, 2.0, 1.5], [0, 1, 2]))
    for record in second:
        record["settings"] = record["settings"] | {"depth": 20}
    both = runs.Runs("one", [*first, *second])
    order = {"text": "t", "metric": "train_error", "p": 0.01}
    assert experiments.Claim(higher={"depth": 8}, lower={"depth": 20}, by=50, **order).check(both)[0]
    assert not experiments.Claim(higher={"depth": 8}, lower={"depth": 20}, by=60, **order).check(both)[0]
    assert not experiments.Claim(higher={"depth": 20}, lower={"depth": 8}, **order).check(both)[0]
    bounds = {"text": "t", "metric": "train_error", "cells": [{"depth": 20}]}
    assert experiments.Claim(at_most=2, **bounds).check(both)[0]
    assert not experiments.Claim(at_least=2, **bounds).check(both)[0]


@pytest.mark.parametrize("name", experiments.names())
def test_a_definition_fits_the_package(name):
    import torch

    from resnet_edu.measures import MEASURES
    from resnet_edu.training import TrainConfig
    from resnet_edu.trials import Trial

    one = experiments.load(name)
    grids = tomllib.loads((experiments.FOLDER / f"{name}.toml").read_text(encoding="utf-8")).get("grid", [{}])
    shared = [grid.pop("seeds", one.seeds) for grid in grids]
    sizes = [math.prod(len(value) for value in grid.values() if isinstance(value, list)) for grid in grids]
    assert sum(sizes) == len(one.cells) and max(shared) == one.seeds
    assert len({run.name for run in one.runs}) == len(one.runs) == sum(map(operator.mul, shared, sizes))
    assert set(one.measure or ()) <= set(MEASURES) and one.title and one.protocol
    data = type("Data", (), {"in_channels": 1, "num_classes": 10, "device": torch.device("meta")})
    trial, config = set(Trial.__dataclass_fields__), set(TrainConfig.__dataclass_fields__)
    with torch.device("meta"):
        for run in (run for run in one.runs if run.seed == 0):
            network = {k: v for k, v in run.settings.items() if k not in config | {"data", "measure", "log_every"}}
            own = {k: network.pop(k) for k in trial & network.keys()}
            Trial(**own, options=network).build(data)


def run_cli(*arguments):
    return cli.main(["runs", *arguments])


def test_the_command_line_records_shows_checks_and_compares(tiny, capsys):
    assert run_cli("record", "tiny", "--only", "depth-8_shortcut-A_seed-0", "--device", "cpu", "--jobs", "1") == 0
    assert "recorded: 1 of 1" in capsys.readouterr().out
    assert run_cli("list") == 0 and "1/8" in capsys.readouterr().out
    assert run_cli("show", "tiny") == 0
    shown = capsys.readouterr().out
    assert "depth=8, shortcut=A" in shown and "(n = 1)" in shown and "not recorded" in shown
    assert run_cli("show", "tiny", "depth-8_shortcut-A_seed-0") == 0
    assert json.loads(capsys.readouterr().out)["settings"]["depth"] == 8
    assert run_cli("verify") == 1 and "lacks 7 of 8 runs" in capsys.readouterr().out
    assert run_cli("record", "tiny", "--device", "cpu", "--jobs", "2") == 0
    capsys.readouterr()
    assert run_cli("verify") == 0 and "8 records, 0 claims: sound" in capsys.readouterr().out
    assert run_cli("compare", "tiny", "depth=14,shortcut=none", "depth=8,shortcut=A") == 0
    assert "paired t(1)" in capsys.readouterr().out
    assert run_cli("record", "tiny") == 0 and "nothing is missing" in capsys.readouterr().out


CLAIMS = """
[[claim]]
text = "Shortcuts help"
metric = "train_error"
higher = { depth = 8, shortcut = "none" }
lower = { depth = 8, shortcut = "A" }

[[claim]]
text = "Errors are percentages"
metric = "train_error"
cells = [{ depth = 8, shortcut = "A" }]
at_least = 0
at_most = 100
"""


def test_a_half_recorded_experiment_is_shown_with_the_claims_that_wait(tiny, capsys):
    tiny.write_text(TINY + CLAIMS)
    record_tiny(4)  # one seed of every cell
    assert run_cli("show", "tiny") == 0
    shown = capsys.readouterr().out
    assert "waits: Shortcuts help (not recorded in full: a paired test needs two seeds" in shown
    assert "holds: Errors are percentages" in shown
    assert run_cli("verify") == 1 and "lacks 4 of 8 runs" in capsys.readouterr().out
    file = runs.BANK / "tiny" / "depth-8_shortcut-A_seed-0.json"
    file.unlink()
    (runs.BANK / "begun").mkdir()  # a recording that has begun and written nothing
    assert run_cli("show", "tiny") == 0 and "waits: Errors are percentages" in capsys.readouterr().out
    assert runs.names() == ["tiny"]


def test_an_experiment_whose_records_are_all_damaged_is_explained(tiny, capsys):
    record_tiny(1)
    for file in runs.record_files("tiny"):
        file.write_text("{")
    with pytest.warns(runs.BankWarning):
        assert run_cli("show", "tiny") == 2
    assert "no record of tiny can be used; run: resnet-edu runs record tiny" in capsys.readouterr().err


def test_a_rehearsal_goes_through_every_measure_and_keeps_nothing(tiny, capsys, monkeypatch):
    from resnet_edu import measures

    asked = []
    monkeypatch.setitem(
        measures.MEASURES, "gradients", lambda network, data, seed: asked.append(seed) or {"ratio": 1.0}
    )
    assert run_cli("record", "tiny", "--rehearse", "--only", "depth-8_shortcut-A_seed-1", "--device", "cpu") == 0
    assert "nothing was recorded" in capsys.readouterr().out
    assert asked == [1, 1]  # before and after
    assert len(experiments.load("tiny").missing()) == 8


def test_what_needs_a_gpu_may_be_missing_and_is_not_recorded_without_one(tiny, capsys):
    assert len(experiments.load("tiny").problems()) == 1
    tiny.write_text('needs = "cuda"\n' + TINY)
    assert experiments.load("tiny").problems() == []
    assert run_cli("record", "tiny", "--device", "cpu") == 2
    assert "tiny needs a CUDA device, got cpu" in capsys.readouterr().err
    assert run_cli("list") == 0 and "(needs CUDA)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("record",), "name an experiment"),
        (("record", "tinny"), "there is no experiment 'tinny'; there are: tiny"),
        (("record", "tiny", "--only", "x"), "no run 'x'"),
        (("show", "tiny"), "the bank has no experiment 'tiny'"),
        (("compare", "tiny", "depth", "depth=8"), "the bank has no experiment"),
    ],
)
def test_bad_input_is_explained(tiny, capsys, arguments, message):
    assert run_cli(*arguments) == 2
    assert message in capsys.readouterr().err


def test_a_budget_is_a_time(tiny, capsys):
    with pytest.raises(SystemExit):
        run_cli("record", "tiny", "--budget", "soon")
    assert "a time such as 90s, 25m or 2h, got 'soon'" in capsys.readouterr().err


def test_runs_without_epochs_are_told_in_a_line_too():
    from resnet_edu.cli.runs import _line

    assert _line(made(epochs={}, diverged="the loss became nan")) == "one/a: diverged, 1 s"
    assert _line(made(epochs={})) == "one/a: measured, 1 s"
    assert "training error 10.00 %" in _line(made(epochs={"train_error": [10.0], "test_error": [20.0]}))


@pytest.mark.parametrize("cell", ["depth=9", "colour=1", "depth=8,gate_bias=0"])
def test_a_cell_that_is_not_recorded_is_explained(tmp_path, capsys, cell):
    runs.write(made(), tmp_path)
    assert run_cli("compare", "one", cell, "depth=8", "--bank", str(tmp_path)) == 2
    assert "resnet-edu runs: one h" in capsys.readouterr().err


def test_a_setting_that_some_records_lack_can_be_asked_for(tmp_path):
    runs.write(made("plain"), tmp_path)
    runs.write(made("gated", settings={"depth": 8, "shortcut": "A", "epochs": 2, "gate_bias": -6}), tmp_path)
    found = runs.load("one", tmp_path)
    assert [one["run"] for one in found.select(gate_bias=-6)] == ["gated"]
    assert found.values("gate_bias") == [-6] and not found.where(gate_bias=0).records
