import json
import re
import subprocess
import sys

import pytest
import torch

from resnet_edu import cli, doctor
from resnet_edu.training import TrainConfig
from resnet_edu.trials import Trial, run_trial


def lines(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("shortcut", ["none", "A"])
def test_the_command_gives_the_chapters_numbers(digits, capsys, shortcut):
    """What the chapter does with depth 56 holds for 20, which is quicker."""
    assert cli.main(["train", "--data", "digits", "--depth", "20", "--shortcut", shortcut, "--json"]) == 0
    head, *epochs = lines(capsys)
    expected = run_trial(Trial(20, shortcut, config=TrainConfig(epochs=8)), digits)
    assert [line["train_error"] for line in epochs] == [record.train_error for record in expected.records]
    assert head["kind"] == "run" and head["config"]["epochs"] == 8 and head["checksum"] == digits.checksum


def test_text_output_names_the_run_and_every_epoch(capsys):
    assert cli.main(["train", "--depth", "8", "--epochs", "2", "--validation", "100", "--device", "cpu"]) == 0
    head, *epochs = capsys.readouterr().out.splitlines()
    assert "19,074 parameters" in head and "1,337 training images" in head
    assert len(epochs) == 2 and all("validation error" in line for line in epochs)


def test_a_dry_run_is_one_batch_and_leaves_no_checkpoint(tmp_path, capsys):
    file = tmp_path / "run.pt"
    assert cli.main(["train", "--dry-run", "--depth", "110", "--paper", "--checkpoint", str(file), "--json"]) == 0
    head, epoch = lines(capsys)
    assert head["dry_run"] and head["images"]["train"] == 128 and epoch["step"] == 1 and not file.exists()
    assert head["config"]["schedule"] == "paper" and head["config"]["warmup_steps"] == 400


def test_resume_goes_on(tmp_path, capsys, monkeypatch):
    arguments = ["train", "--depth", "8", "--epochs", "3", "--checkpoint", str(tmp_path / "run.pt"), "--json"]
    assert cli.main(arguments) == 0
    whole = lines(capsys)[1:]
    assert cli.main([*arguments, "--resume"]) == 0
    assert lines(capsys)[1:] == whole
    assert cli.main(arguments) == 2
    assert "pass resume=True" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--depth", "21"], "depth must be 6n+2"),
        (["--depth", "20", "--block", "bottleneck", "--activation", "post", "--epochs", "0"], "epochs must be"),
        (["--validation", "0.999"], "both parts need an image"),
        (["--resume"], "--resume needs --checkpoint"),
        (["--device", "cuda:77"], "device 'cuda:77' cannot be used here"),
        (["--data", "image_folder", "--path", "/nowhere"], "there is no folder /nowhere"),
        (["--data", "image_folder"], "path"),
        (["--cuda-graph", "--device", "cpu"], "needs a CUDA device"),
    ],
)
def test_a_users_mistake_is_explained_without_a_traceback(arguments, message, capsys):
    assert cli.main(["train", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def test_an_unknown_choice_lists_the_choices(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", "--shortcut", "D"])
    assert stopped.value.code == 2
    assert re.search(r"choose from '?none'?, '?A'?, '?B'?, '?C'?", capsys.readouterr().err)


def test_a_failed_run_has_status_1(tmp_path, capsys, monkeypatch):
    diverging = ["train", "--normalization", "none", "--learning-rate", "1e4", "--epochs", "1"]
    assert cli.main(diverging) == 1
    assert "try a smaller learning_rate" in capsys.readouterr().err
    monkeypatch.setenv("RESNET_EDU_DATA", str(tmp_path))
    monkeypatch.setattr("torchvision.datasets.CIFAR10.download", lambda self: (_ for _ in ()).throw(OSError("cut")))
    assert cli.main(["train", "--data", "cifar10"]) == 1
    assert "could not be downloaded" in capsys.readouterr().err


def test_stopping_by_hand_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("resnet_edu.training.train", interrupted)
    assert cli.main(["train", "--checkpoint", str(tmp_path / "run.pt")]) == 130
    assert "go on with --resume" in capsys.readouterr().err


def test_the_installed_command_runs():
    done = subprocess.run([sys.executable, "-m", "resnet_edu", "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("resnet-edu 0.")


def test_doctor_finds_what_is_there_and_mends_what_is_not(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("RESNET_EDU_DATA", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert cli.main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "bundled, 1,797 images" in text and "no CUDA device" in text
    assert f"not in {tmp_path}" in text and "mend: resnet-edu train --data cifar10 --dry-run" in text
    assert cli.main(["doctor", "--json"]) == 0
    assert {"name", "found", "ok", "needed", "mend"} == set(json.loads(capsys.readouterr().out)[0])


def test_doctor_fails_if_something_needed_is_missing(capsys, monkeypatch):
    bad = doctor.Finding("torch", "not installed", ok=False, needed=True, mend="pip install torch")
    monkeypatch.setattr(doctor, "examine", lambda: [bad])
    assert cli.main(["doctor"]) == 1
    assert capsys.readouterr().out.splitlines()[1].strip() == "mend: pip install torch"
