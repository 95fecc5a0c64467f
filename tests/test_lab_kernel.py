"""The lab's kernel source, without a browser: the protocol, and a real kernel of each supported set of versions."""

import gc
import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from conftest import ROOT

from resnet_edu.datasets import synthetic
from resnet_edu.lab.kernel import Experiment, KernelSource, connect
from resnet_edu.lab.recording import DEFAULTS
from resnet_edu.lab.widget import Lab
from resnet_edu.networks import cifar_resnet
from resnet_edu.probes import gradient_norms

QUICK = {**DEFAULTS, "depth": 8, "steps": 12, "test_every": 5}


@pytest.fixture
def source(digits):
    made = KernelSource(digits, QUICK)
    yield made
    made.close()


def until(source, state, seconds=20):
    """Poll as the front end does; return all frames."""
    frames, reply = [], {"state": None}
    end = time.monotonic() + seconds
    while reply["state"] != state and time.monotonic() < end:
        reply = source.answer({"id": 1, "kind": "poll", "since": len(frames)})
        frames += reply["frames"]
        time.sleep(0.02)
    assert reply["state"] == state, reply
    return frames


def test_a_run_gives_contiguous_frames_and_tests_in_between(source):
    source.answer({"id": 7, "kind": "start", "config": {}, "play": True})
    frames = until(source, "done")
    assert [frame["step"] for frame in frames] == list(range(1, 13))
    assert [frame["step"] for frame in frames if "test_error" in frame] == [5, 10, 12]
    assert len(frames[0]["norms"]) == 8 and len(frames[0]["responses"]) == 3
    json.dumps(frames, allow_nan=False)


def test_the_frames_are_the_networks(digits):
    experiment = Experiment(QUICK, digits)
    for _ in zip(range(3), experiment.frames(), strict=False):
        pass
    frame = next(experiment.frames())
    assert frame["norms"] == pytest.approx(list(gradient_norms(experiment.network).values()))
    assert frame["step"] == 4
    block = experiment.network.blocks[0]
    seen = []
    block.bn2.register_forward_hook(lambda _, __, out: seen.append(out.std(correction=0).item()))
    assert next(experiment.frames())["responses"][0] == pytest.approx(seen[0], rel=1e-5)


def test_playing_pausing_and_single_steps(source):
    reply = source.answer({"id": 1, "kind": "start", "config": {}})
    assert (reply["state"], reply["frames"]) == ("paused", [])
    source.answer({"id": 2, "kind": "step"})
    time.sleep(0.5)
    assert len(source.answer({"id": 3, "kind": "poll", "since": 0})["frames"]) == 1
    source.answer({"id": 4, "kind": "play"})
    until(source, "done")


def test_pausing_takes_effect_within_a_step(digits):
    source = KernelSource(digits, {**DEFAULTS, "depth": 56, "steps": 2000})
    source.answer({"id": 1, "kind": "start", "config": {}, "play": True})
    time.sleep(1)
    source.answer({"id": 2, "kind": "pause"})
    time.sleep(0.3)
    count = len(source.answer({"id": 3, "kind": "poll"})["frames"])
    time.sleep(0.5)
    assert len(source.answer({"id": 4, "kind": "poll"})["frames"]) == count > 0
    source.close()


def test_a_switch_takes_effect_at_the_next_step(source):
    source.answer({"id": 1, "kind": "start", "config": {}})
    source.answer({"id": 2, "kind": "step"})
    time.sleep(0.4)
    reply = source.answer({"id": 3, "kind": "switch", "block": 2, "connected": False})
    assert reply["switches"] == [[1, 2, 0]]
    source.answer({"id": 4, "kind": "play"})
    cut = until(source, "done")
    source.answer({"id": 5, "kind": "start", "config": {}, "play": True})
    whole = until(source, "done")
    source.answer({"id": 6, "kind": "start", "config": {"switches": [[1, 2, 0]]}, "play": True})
    again = until(source, "done")
    losses = [[frame["loss"] for frame in frames] for frames in (cut, whole, again)]
    assert losses[0][0] == losses[1][0] and losses[0][1:] != losses[1][1:]
    assert losses[0] == losses[2]  # a run with the switches of another repeats it


def test_the_foreground_and_a_later_click_keep_to_planned_switches(source):
    planned = {"switches": [[6, 1, 0], [2, 2, 0]]}
    foreground = [frame["loss"] for frame in source.run(planned)]
    source.answer({"id": 1, "kind": "start", "config": planned, "play": True})
    assert [frame["loss"] for frame in until(source, "done")] == foreground
    source.answer({"id": 2, "kind": "start", "config": planned})
    source.answer({"id": 3, "kind": "switch", "block": 3, "connected": False})
    source.answer({"id": 4, "kind": "play"})
    clicked = [frame["loss"] for frame in until(source, "done")]
    assert clicked[0] != foreground[0]
    everything = {"switches": [*planned["switches"], [0, 3, 0]]}
    assert [frame["loss"] for frame in source.run(everything)] == clicked


@pytest.mark.parametrize("kind", ["A", "B", "none"])
def test_a_cut_block_is_plain_and_a_restored_one_is_as_before(kind):
    block = cifar_resnet(8, shortcut=kind, width=4).blocks[1].eval()
    x = torch.rand(2, 4, 6, 6)
    before = block(x)
    connect(block, False)
    assert torch.equal(block(x), torch.relu(block.branch(x)))
    connect(block, True)
    assert torch.equal(block(x), before) == (kind != "none")
    assert block.downsample.kind == ("A" if kind == "none" else kind)


def test_what_goes_wrong_is_said_and_another_run_can_start(source):
    assert "depth must be" in source.answer({"id": 1, "kind": "start", "config": {"depth": 9}})["message"]
    assert "there is no block 77" in source.answer({"id": 2, "kind": "switch", "block": 77, "connected": 1})["message"]
    assert "kind must be start" in source.answer({"id": 3, "kind": "dance"})["message"]
    bad = {"learning_rate": 9.0, "normalization": "none", "steps": 60}
    source.answer({"id": 4, "kind": "start", "config": bad, "play": True})
    until(source, "failed")
    assert "smaller learning_rate" in source.answer({"id": 5, "kind": "poll"})["message"]
    source.answer({"id": 6, "kind": "start", "config": {}, "play": True})
    until(source, "done")


def test_any_data_set_will_do():
    data = synthetic(size=12, channels=3, num_classes=4, train=64, test=32)
    frames = KernelSource(data, QUICK).run({"steps": 3})
    assert [frame["step"] for frame in frames] == [1, 2, 3] and "test_error" in frames[-1]


def test_an_interrupted_foreground_run_keeps_what_was_done(digits, monkeypatch):
    source = KernelSource(digits, QUICK)
    frames = Experiment.frames

    def interrupted(self):
        for frame in frames(self):
            yield frame
            if frame["step"] == 4:
                raise KeyboardInterrupt

    monkeypatch.setattr(Experiment, "frames", interrupted)
    kept = source.run()
    assert len(kept) == 4 and repr(kept).startswith("4 frames; step 4: loss") and "\n" not in repr(kept)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"data": 20}, r"got 20; for a network of 20 layers: Lab\(config=\{'depth': 20\}\)"),
        ({"config": {"learning_rate": "0.1"}}, "learning_rate must be a number .* got '0.1'"),
        ({"config": {"dept": 8}}, "no setting 'dept'"),
    ],
)
def test_a_lab_with_a_mistake_says_so_once(arguments, words, capsys, recwarn):
    with pytest.raises((TypeError, ValueError), match=words):
        Lab(**arguments)
    gc.collect()  # what was half made goes without a word
    assert capsys.readouterr() == ("", "") and not recwarn.list


def test_a_lab_that_is_run_again_ends_the_one_before(digits):
    before = Lab(digits, config={"depth": 8, "steps": 2000}, element="again")
    known = set(threading.enumerate())
    before.source.answer({"id": 1, "kind": "start", "config": {}, "play": True})
    (thread,) = set(threading.enumerate()) - known
    after = Lab(digits, config={"depth": 8}, element="again")
    thread.join(30)
    assert not thread.is_alive()
    after.close()


def test_the_explorer_trains_and_measures_on_demand(monkeypatch):
    from resnet_edu.lab import explorer

    monkeypatch.setattr(explorer, "STEPS", (0, 3))
    monkeypatch.setattr(explorer.spectra, "__kwdefaults__", {"steps": (0, 3), "data": None})
    panel = explorer.explorer()
    *_, button, output = panel.children
    assert output.value == ""
    button.click()
    assert "8 layers, residual (option A)" in output.value and "step 0, 3" in output.value and not button.disabled


def test_a_widget_stands_behind_an_output_that_needs_no_kernel(digits, monkeypatch):
    lab = Lab(digits, config={"depth": 8}, element="shown")
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    lab._ipython_display_()
    still, widget = shown  # the second one has HTML, too, which is empty: a page shows the first alone
    assert "data-behind" in still["text/html"] and widget["text/html"] == ""
    assert widget["application/vnd.jupyter.widget-view+json"]["model_id"] == lab.model_id
    lab.close()


# Real kernels

COLAB = ROOT / ".venv" / "colab"  # made by `make` from tests/colab-requirements.txt


def kernel_environment(versions):
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    if versions == "colab":
        environment["PYTHONPATH"] = os.pathsep.join([str(COLAB), str(ROOT)])
    return environment


@pytest.mark.parametrize("versions", ["current", "colab"])
def test_a_real_kernel_answers_while_it_trains(versions):
    if versions == "colab" and not COLAB.exists():
        pytest.fail(f"{COLAB} is missing; mend it with: make {COLAB.relative_to(ROOT)}")
    from jupyter_client.manager import KernelManager

    manager = KernelManager()
    manager.kernel_spec.argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    manager.start_kernel(env=kernel_environment(versions), cwd=str(Path(__file__).parent))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        _talk(client, versions)
        _guess(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _run(client, code, timeout=60):
    """Run a cell and return what it printed."""
    ident, text = client.execute(code), []
    while True:
        message = client.get_iopub_msg(timeout=timeout)
        kind, content = message["msg_type"], message["content"]
        assert kind != "error", "\n".join(content.get("traceback", ()))
        if message["parent_header"].get("msg_id") != ident:
            continue
        if kind == "stream":
            text.append(content["text"])
        if kind in ("execute_result", "display_data"):
            text.append(json.dumps(sorted(content["data"])))
        if kind == "status" and content["execution_state"] == "idle":
            return "".join(text)


def _talk(client, versions):
    made = _run(
        client,
        "import ipykernel, ipywidgets, anywidget\n"
        "from resnet_edu.lab.widget import Lab\n"
        "lab = Lab(config={'depth': 20, 'steps': 150})\n"
        "print(ipykernel.__version__, ipywidgets.__version__, anywidget.__version__, lab.model_id)",
    ).split()
    if versions == "colab":
        assert made[:3] == ["6.17.1", "7.7.1", "0.9.21"]
    model = made[3]
    shown = _run(client, "lab")
    assert "text/html" in shown and "application/vnd.jupyter.widget-view+json" in shown

    def ask(request):
        content = {"comm_id": model, "data": {"method": "custom", "content": request}}
        sent = client.session.msg("comm_msg", content)
        client.shell_channel.send(sent)
        while True:
            message = client.get_iopub_msg(timeout=20)
            if message["msg_type"] == "comm_msg" and message["content"]["data"].get("method") == "custom":
                # Colab shows what belongs to a front end's request, and not what a finished cell's thread sends.
                assert message["parent_header"]["msg_id"] == sent["header"]["msg_id"]
                return message["content"]["data"]["content"]

    reply = ask({"id": 1, "kind": "start", "config": {}, "play": True})
    frames, waits = list(reply["frames"]), []
    while reply["state"] == "running":
        start = time.perf_counter()
        assert _run(client, "print(1 + 1)").strip() == "2"
        waits.append(time.perf_counter() - start)
        reply = ask({"id": 2, "kind": "poll", "since": len(frames)})
        frames += reply["frames"]
    assert reply["state"] == "done" and [frame["step"] for frame in frames] == list(range(1, 151))
    assert sorted(waits)[len(waits) // 2] < 1  # the kernel stays usable
    assert len(json.loads(_run(client, "import json; print(json.dumps(lab.run(steps=3)))"))) == 3


def _guess(client):
    """Commit a guess as the widget in a notebook does, and read it in later cells."""
    shown = _run(client, "from resnet_edu import lab as book\nquestion = book.predict('degradation')\nquestion")
    assert "text/html" in shown and "application/vnd.jupyter.widget-view+json" in shown
    model = _run(client, "print(question.model_id)").strip()
    change = {"method": "update", "state": {"given": {"8": 12}}, "buffer_paths": []}
    client.shell_channel.send(client.session.msg("comm_msg", {"comm_id": model, "data": change}))
    assert _run(client, "print(question.values['8'], question.values['20'])").split() == ["12", "50"]
    assert "{'8': 12}" in _run(client, "print(book.measured('degradation', {8: 1.5}).data['guess'])")
