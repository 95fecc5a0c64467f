import json
import os
import re
import shlex
import signal
import subprocess
import sys
from functools import wraps

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image

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
        (["--data", "image_folder"], "image_folder needs the folder of the images: --path FOLDER"),
        (["--data", "image_folder", "--path", __file__], "is a file, not a folder; unpack it"),
        (
            ["--data", "digits", "--size", "4"],
            "digits: got an unexpected keyword argument 'size'; its options are test",
        ),
        (["--cuda-graph", "--device", "cpu"], "needs a CUDA device"),
    ],
)
def test_a_users_mistake_is_explained_without_a_traceback(arguments, message, capsys):
    assert cli.main(["train", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error


def photographs(root, sizes=((40, 30), (24, 36))):
    """Write two classes of small photographs, of different sizes."""
    for name, share in (("day", 0.9), ("night", 0.2)):
        (root / name).mkdir(parents=True)
        for number in range(10):
            width, height = sizes[number % len(sizes)]
            noise = np.random.default_rng(number).integers(0, 40, (height, width, 3)) + 200 * share
            Image.fromarray(noise.astype(np.uint8)).save(root / name / f"{number}.png")
    return root


def test_the_commands_own_advice_on_sizes_works(tmp_path, capsys):
    command = ["train", "--data", "image_folder", "--path", str(photographs(tmp_path / "photos"))]
    command += ["--depth", "8", "--epochs", "2", "--batch-size", "8", "--json"]
    assert cli.main(command) == 2
    advice = re.search(r"\((--size \d+)\)", capsys.readouterr().err)[1].split()
    assert cli.main([*command, *advice]) == 0
    head, *epochs = lines(capsys)
    assert head["images"] == {"train": 16, "test": 4, "validation": 0} and len(epochs) == 2


def test_the_command_of_the_training_lab_takes_photographs_of_different_sizes(tmp_path, monkeypatch, capsys):
    page = json.loads((ROOT / "book" / "chapters" / "training-lab.ipynb").read_text())
    prose = "".join("".join(cell["source"]) for cell in page["cells"] if cell["cell_type"] == "markdown")
    (command,) = re.findall(r"^resnet-edu (train .*--path photos.*)$", prose, re.MULTILINE)
    photographs(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    assert cli.main([*shlex.split(command), "--dry-run"]) == 0
    assert "on photos (16 training images)" in capsys.readouterr().out


def test_every_option_of_a_folder_of_images_is_on_the_command_line(tmp_path, capsys, monkeypatch):
    from inspect import signature

    from resnet_edu.datasets import DATASETS, image_folder

    folder = str(photographs(tmp_path / "photos"))
    command = ["train", "--data", "image_folder", "--path", folder, "--depth", "8", "--dry-run"]
    given = ["--size", "12", "--test-fraction", "0.4", "--split-seed", "3", "--no-flip", "--background", "black"]
    seen = {}
    monkeypatch.setitem(
        DATASETS,
        "image_folder",
        wraps(image_folder)(lambda **options: seen.update(options) or image_folder(**options)),
    )
    assert cli.main([*command, *given, "--skip-damaged"]) == 0
    assert seen == {
        "path": folder, "size": 12, "test_fraction": 0.4, "seed": 3, "flip": False, "background": "black",
        "skip_damaged": True,
    }  # fmt: skip
    assert set(seen) == set(signature(image_folder).parameters)
    seen.clear()
    assert cli.main([*command, "--size", "12"]) == 0 and seen == {"path": folder, "size": 12}
    capsys.readouterr()


def test_damaged_images_are_named_and_left_out_if_wished(tmp_path, capsys):
    folder = photographs(tmp_path / "photos", [(16, 16)])
    (folder / "day" / "3.png").write_bytes(b"")
    command = ["train", "--data", "image_folder", "--path", str(folder), "--depth", "8", "--dry-run"]
    assert cli.main(command) == 2
    error = capsys.readouterr().err
    assert f"{folder}/day/3.png" in error and "--skip-damaged" in error
    assert cli.main([*command, "--skip-damaged"]) == 0
    assert f"resnet-edu train: note: {folder}: left out 1 image that cannot be read" in capsys.readouterr().err


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


FILES = """
import sys
from resnet_edu import cli
sys.exit(cli.main(sys.argv[1:]))
"""


def run_command(*arguments, **options):
    return subprocess.run([sys.executable, "-c", FILES, *map(str, arguments)], text=True, **options)


def test_output_into_head_ends_quietly():
    reader, writer = os.pipe()
    os.close(reader)  # as head does once it has its lines
    for command in (["runs", "list"], ["train", "--help"]):
        done = run_command(*command, stdout=writer, stderr=subprocess.PIPE)
        assert done.returncode in ((141,) if command == ["runs", "list"] else (0, 141)) and done.stderr == ""
    os.close(writer)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_output_onto_a_full_disk_is_one_sentence():
    with open("/dev/full", "w") as full:
        done = run_command("runs", "list", stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("resnet-edu") and line.endswith("No space left on device")


def test_a_checkpoint_on_a_full_disk_is_one_sentence_and_the_old_one_stays(tmp_path):
    import resource

    def limit():  # the system refuses files larger than this, as a full disk does
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    file = tmp_path / "run.pt"
    command = ["train", "--depth", "8", "--epochs", "3", "--schedule", "constant", "--checkpoint", file]
    assert cli.main([*map(str, command), "--epochs", "1"]) == 0
    before = file.read_bytes()
    done = run_command(*command, "--resume", preexec_fn=limit, capture_output=True)
    assert done.returncode == 1 and file.read_bytes() == before
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("resnet-edu")]
    assert f"the checkpoint {file} could not be written (File too large); the one before is still there" in line
    assert "Traceback" not in done.stderr and os.listdir(tmp_path) == ["run.pt"]
    assert run_command(*command, "--resume", capture_output=True).returncode == 0  # and it can go on


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (PermissionError(13, "Permission denied", "/photos/cat"), 2, "Permission denied: /photos/cat"),
        (NotADirectoryError(20, "Not a directory", "/photos.zip"), 2, "Not a directory: /photos.zip"),
        (OSError(28, "No space left on device", "/data/x"), 1, "No space left on device: /data/x"),
        (OSError(5, "Input/output error"), 1, "Input/output error"),
    ],
)
def test_what_the_system_refuses_is_one_sentence(capsys, monkeypatch, error, status, sentence):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr("resnet_edu.datasets.load", refuse)
    assert cli.main(["train"]) == status
    assert capsys.readouterr().err == f"resnet-edu train: {sentence}\n"


def test_a_checkpoint_in_place_of_a_folder_or_in_none_is_refused(tmp_path, capsys):
    (tmp_path / "file").touch()
    for place, message in ((tmp_path, "got the folder"), (tmp_path / "file" / "x.pt", "name another place")):
        assert cli.main(["train", "--depth", "8", "--epochs", "1", "--checkpoint", str(place)]) == 2
        assert message in capsys.readouterr().err


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
    assert "bundled, 1,797 images" in text and "no CUDA device and no Apple GPU" in text
    assert f"not in {tmp_path}" in text and "mend: resnet-edu train --data cifar10 --dry-run" in text
    assert cli.main(["doctor", "--json"]) == 0
    assert {"name", "found", "ok", "needed", "mend"} == set(json.loads(capsys.readouterr().out)[0])


def test_doctor_fails_if_something_needed_is_missing(capsys, monkeypatch):
    bad = doctor.Finding("torch", "not installed", ok=False, needed=True, mend="pip install torch")
    monkeypatch.setattr(doctor, "examine", lambda: [bad])
    assert cli.main(["doctor"]) == 1
    assert capsys.readouterr().out.splitlines()[1].strip() == "mend: pip install torch"
