import copy
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from torch import nn

from resnet_edu import checkpoint as checkpoints
from resnet_edu.datasets import synthetic
from resnet_edu.networks import cifar_resnet
from resnet_edu.training import (
    SCHEDULES,
    DivergedError,
    Record,
    StepRecord,
    TrainConfig,
    evaluate,
    learning_rate_at,
    normalize_layers,
    option_table,
    train,
)
from resnet_edu.trials import Trial


def small(**options):
    torch.manual_seed(0)
    return cifar_resnet(8, width=4, in_channels=1, **options)


def weights(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_training_learns_and_records_every_epoch(digits):
    records = list(train(Trial(8, "A").build(digits), digits, TrainConfig(epochs=4)))
    assert [record.epoch for record in records] == [1, 2, 3, 4]
    assert [record.step for record in records] == [23, 46, 69, 92]
    assert records[-1].train_error < 10 < records[0].train_error
    assert records[-1].learning_rate < 1e-3  # the cycle ended
    assert records[-1].validation_error is None


def test_one_step_agrees_with_sgd_by_hand(digits):
    config = TrainConfig(epochs=1, batch_size=2000, schedule="constant", learning_rate=0.05)
    torch.manual_seed(0)
    network = cifar_resnet(8, width=4, in_channels=1)
    before = network.fc.weight.detach().clone()
    loss = torch.nn.functional.cross_entropy(network(digits.normalize(digits.train.images)), digits.train.labels)
    (gradient,) = torch.autograd.grad(loss, network.fc.weight)
    (record,) = train(network, digits, config)
    assert torch.allclose(network.fc.weight, before - 0.05 * (gradient + 1e-4 * before), atol=1e-5)
    assert record.train_loss == pytest.approx(loss.item(), rel=1e-4)


def test_evaluation_changes_nothing(digits):
    network = cifar_resnet(8, width=4, in_channels=1).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    loss, error = evaluate(network, digits, digits.test)
    assert 0 <= error <= 100 and loss > 0 and network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_divergence_is_explained(digits):
    network = Trial(20, "A", normalization="none").build(digits)
    with pytest.raises(DivergedError, match=r"within epoch 1 .* try a smaller learning_rate"):
        list(train(network, digits, TrainConfig(epochs=1, learning_rate=1e4)))


def test_a_network_of_too_few_classes_is_refused(digits):
    network = cifar_resnet(8, in_channels=1, num_classes=5)
    words = "the network tells 5 classes apart, digits has 10; build it with num_classes=10"
    with pytest.raises(ValueError, match=words):
        next(train(network, digits, TrainConfig()))
    with pytest.raises(ValueError, match=words):
        evaluate(network, digits, digits.test)


@pytest.mark.parametrize(
    "option",
    [
        {"epochs": 0}, {"batch_size": 1.5}, {"schedule": "steps"}, {"learning_rate": float("nan")}, {"seed": -1},
        {"momentum": 1.0}, {"weight_decay": -1e-4}, {"warmup_steps": -1}, {"precision": "float64"},
        {"warmup_learning_rate": 0.0}, {"clip_norm": -1.0}, {"layer_step": float("inf")},
    ],
)  # fmt: skip
def test_config_rules(option):
    (name,) = option
    with pytest.raises(ValueError, match=f"{name} must"):
        TrainConfig(**option)


def test_every_option_has_a_meaning_and_a_source():
    table = option_table()
    assert len(table) == len(TrainConfig.__dataclass_fields__)
    assert all(meaning and source for _, _, meaning, source in table)


def test_the_papers_schedule_falls_at_32k_and_48k_of_64k_after_a_warm_up():
    config = TrainConfig.paper(110)
    steps = 64_000
    rates = {
        step: learning_rate_at(config, step, steps) for step in (0, 399, 400, 31_999, 32_000, 47_999, 48_000, 63_999)
    }
    assert list(rates.values()) == pytest.approx([0.01, 0.01, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])
    assert config.batch_size == 128 and config.augment and config.epochs == 164
    assert TrainConfig.paper(56).warmup_steps == 0 and TrainConfig.paper(20, epochs=2).epochs == 2


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5, 40, 184])
def test_one_cycle_is_torchs(steps):
    config = TrainConfig()
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1)
    options = {"total_steps": steps + 1, "pct_start": 0.25, "cycle_momentum": False}
    # torch divides by zero in runs of up to three steps
    reference = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, **options) if steps > 3 else None
    for step in range(steps):
        rate = learning_rate_at(config, step, steps)
        assert 0 < rate <= 0.1
        if reference:
            assert rate == pytest.approx(reference.get_last_lr()[0], rel=1e-6)
            optimizer.step()
            reference.step()


def test_cosine_is_torchs():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.1)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50)
    for step in range(50):
        assert learning_rate_at(TrainConfig(schedule="cosine"), step, 50) == pytest.approx(reference.get_last_lr()[0])
        optimizer.step()
        reference.step()


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_optimizer_follows_the_schedule(digits, schedule, monkeypatch):
    """akamaster's ResNet-110 ran at 0.01 for 100 epochs: a rate set by hand stuck under a chained scheduler."""
    used = []
    step = torch.optim.SGD.step
    monkeypatch.setattr(
        torch.optim.SGD, "step", lambda self, *a, **k: (used.append(self.param_groups[0]["lr"]), step(self, *a, **k))[1]
    )
    config = TrainConfig(epochs=2, schedule=schedule, warmup_steps=3, batch_size=256)
    records = list(train(small(), digits, config))
    assert used == [learning_rate_at(config, step, 12) for step in range(12)]
    assert used[:3] == [0.01] * 3 and records[-1].learning_rate == used[-1]


def test_step_records_add_up_to_the_epoch_and_leave_the_gradients(digits):
    network, records = small(), []
    for record in train(network, digits, TrainConfig(epochs=1), log_every=5):
        records.append(record)
        assert network.conv1.weight.grad.norm() > 0
    *steps, epoch = records
    assert [record.step for record in steps] == [5, 10, 15, 20, 23] and isinstance(epoch, Record)
    assert all(isinstance(record, StepRecord) for record in steps)
    images = [320, 320, 320, 320, 1437 - 4 * 320]
    assert sum(r.loss * n for r, n in zip(steps, images, strict=True)) / 1437 == pytest.approx(epoch.train_loss)
    assert sum(r.error * n for r, n in zip(steps, images, strict=True)) / 1437 == pytest.approx(epoch.train_error)


def test_logging_and_pausing_change_nothing(digits):
    quiet, logged = small(mixing="dropout"), small(mixing="dropout")
    list(train(quiet, digits, TrainConfig(epochs=1, augment=True)))
    for _ in train(logged, digits, TrainConfig(epochs=1, augment=True), log_every=4):
        torch.rand(3)  # what the reader does meanwhile
    assert same(weights(quiet), weights(logged))


def test_training_leaves_the_callers_random_numbers_and_threads_alone(digits):
    torch.manual_seed(5)
    expected, threads = torch.rand(1), torch.get_num_threads()
    torch.manual_seed(5)
    run = train(small(mixing="dropout"), digits, TrainConfig(epochs=1))
    torch.manual_seed(5)
    next(run)
    assert torch.rand(1) == expected and torch.get_num_threads() == threads


def test_the_seed_orders_the_batches_and_draws_the_augmentation(digits):
    def loss(**options):
        return next(train(small(), digits, TrainConfig(epochs=1, **options))).train_loss

    assert loss() == loss() != loss(seed=1)
    assert loss(augment=True) == loss(augment=True) != loss()


def test_the_test_set_takes_no_part(digits):
    """Choosing by test error is a known error: training must not even see it."""
    other = digits.test.__class__(digits.test.images.flip(0), digits.test.labels)
    a, b = small(), small()
    list(train(a, digits, TrainConfig(epochs=1)))
    list(train(b, replace(digits, test=other), TrainConfig(epochs=1)))
    assert same(weights(a), weights(b))


def test_held_out_images_are_measured_apart(digits):
    network, data = small(), digits.hold_out(0.2)
    (record,) = train(network, data, TrainConfig(epochs=1))
    assert (record.validation_loss, record.validation_error) == evaluate(network, data, data.validation)
    assert record.validation_error != record.test_error


def test_bfloat16_trains_and_keeps_float32_weights(digits):
    network = Trial(8, "A").build(digits)
    records = list(train(network, digits, TrainConfig(epochs=4, precision="bfloat16")))
    assert records[-1].train_error < 15 and network.conv1.weight.dtype == torch.float32


def test_clipping_limits_the_whole_gradient_and_leaves_short_ones_alone(digits):
    def first_step(clip_norm):
        network = small()
        before = [p.detach().clone() for p in network.parameters()]
        config = TrainConfig(
            epochs=1, batch_size=2000, schedule="constant", learning_rate=0.5, weight_decay=0, clip_norm=clip_norm
        )
        list(train(network, digits, config))
        return torch.cat([(p - b).flatten() for p, b in zip(network.parameters(), before, strict=True)]) / 0.5

    free = first_step(0.0)
    assert torch.equal(first_step(1e6), free)
    clipped = first_step(0.01)
    assert clipped.norm().item() == pytest.approx(0.01, rel=1e-3)
    assert torch.cosine_similarity(clipped, free, 0).item() == pytest.approx(1, abs=1e-4)


def test_layers_normalised_move_in_proportion_to_their_weights():
    kernel, shift, still = (nn.Parameter(torch.full(shape, 2.0)) for shape in ((3, 3), (4,), (2, 2)))
    shift.data.zero_()
    kernel.grad, shift.grad, still.grad = torch.full((3, 3), 1e-20), torch.full((4,), 1e6), torch.zeros(2, 2)
    normalize_layers([kernel, shift, still, nn.Parameter(torch.ones(1))], 0.1)
    assert kernel.grad.norm().item() == pytest.approx(0.1 * kernel.norm().item(), rel=1e-4)
    assert shift.grad.norm().item() == pytest.approx(0.1 * 2.0, rel=1e-4)  # four entries count as ones
    assert not still.grad.any()


def test_a_checkpoint_from_before_an_option_existed_goes_on(digits, tmp_path):
    file, config = tmp_path / "run.pt", TrainConfig(epochs=1)
    records = list(train(small(), digits, config, checkpoint=file))
    state = checkpoints.load(file)
    del state["config"]["clip_norm"], state["config"]["layer_step"]
    checkpoints.save(file, state)
    assert list(train(small(), digits, config, checkpoint=file, resume=True)) == records


@pytest.mark.parametrize("option", [{"cuda_graph": True}, {"sync_batch_norm": True}, {"precision": "float16"}])
def test_what_needs_a_gpu_says_so(digits, option):
    with pytest.raises(ValueError, match="needs a CUDA device, got cpu"):
        next(train(small(), digits, TrainConfig(**option)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_graphed_step_computes_what_an_eager_one_does(digits, precision):
    losses = []
    for graph in (False, True):
        data = digits.to("cuda")
        config = TrainConfig(epochs=2, precision=precision, cuda_graph=graph, learning_rate=0.02)
        losses.append([record.train_loss for record in train(small().cuda(), data, config)])
    assert losses[0] == pytest.approx(losses[1], rel=2e-2)


# A last batch of one image


@pytest.mark.parametrize(
    ("size", "count", "batch_size", "advice"),
    [(4, 65, 64, 63), (1, 65, 64, 63), (4, 64, 1, 2), (4, 11, 5, 4), (4, 23, 11, 10), (8, 65, 64, None)],
)
def test_one_image_on_a_map_of_one_pixel_is_refused_before_training(size, count, batch_size, advice):
    data = synthetic(10, 1, size, train=count, test=20)
    before = weights(network := small())
    if advice is None:  # maps of 2x2: four numbers a channel
        assert len(list(train(network, data, TrainConfig(epochs=1, batch_size=batch_size)))) == 1
        return
    with pytest.raises(ValueError, match=rf"leaves one image .*; choose batch_size={advice} \(--batch-size {advice}\)"):
        next(train(network, data, TrainConfig(epochs=1, batch_size=batch_size)))
    assert same(before, weights(network)) and not any(module._forward_pre_hooks for module in network.modules())
    assert len(list(train(network, data, TrainConfig(epochs=1, batch_size=advice)))) == 1


def test_one_image_is_enough_without_batch_normalisation():
    data = synthetic(10, 1, 4, train=65, test=20)
    assert len(list(train(small(normalization="none"), data, TrainConfig(epochs=1, learning_rate=0.001)))) == 1


# Checkpoints


def test_a_resumed_run_yields_all_records_and_the_same_weights(digits, tmp_path):
    file, config = tmp_path / "run.pt", TrainConfig(epochs=3, augment=True)
    whole = small(mixing="dropout")
    expected = list(train(whole, digits, config))
    first = train(small(mixing="dropout"), digits, config, checkpoint=file)
    next(first)
    first.close()  # stopped by the user
    torch.manual_seed(99)
    resumed = cifar_resnet(8, width=4, in_channels=1, mixing="dropout")
    records = list(train(resumed, digits, config, checkpoint=file, resume=True))
    assert same(weights(whole), weights(resumed))
    assert [(r.epoch, r.train_loss, r.test_error) for r in records] == [
        (r.epoch, r.train_loss, r.test_error) for r in expected
    ]
    assert list(train(small(mixing="dropout"), digits, config, checkpoint=file, resume=True)) == records  # done already


KILLED = """
import sys, torch
from resnet_edu.datasets import digits
from resnet_edu.networks import cifar_resnet
from resnet_edu.training import TrainConfig, train
torch.manual_seed(0)
network = cifar_resnet(8, width=4, in_channels=1)
config = TrainConfig(epochs=12, augment=True)
for record in train(network, digits(), config, checkpoint=sys.argv[1], resume=True):
    print(record.epoch, flush=True)
torch.save(network.state_dict(), sys.argv[1] + ".end")
"""


def test_a_run_killed_at_any_point_ends_with_the_same_bits(digits, tmp_path):
    whole = small()
    list(train(whole, digits, TrainConfig(epochs=12, augment=True)))
    file = tmp_path / "run.pt"
    kills = 0
    for delay in (0.0, 0.07, None):  # seconds after an epoch is announced; None lets it finish
        with subprocess.Popen([sys.executable, "-c", KILLED, file], stdout=subprocess.PIPE, text=True) as process:
            if delay is not None:
                start = int(process.stdout.readline())
                while int(process.stdout.readline()) < start + 2:
                    pass
                time.sleep(delay)
                process.send_signal(signal.SIGKILL)
                kills += process.wait() == -signal.SIGKILL
            else:
                process.communicate()
    assert kills >= 2
    assert same(weights(whole), torch.load(f"{file}.end"))
    assert sorted(os.listdir(tmp_path)) == ["run.pt", "run.pt.end"]


def test_a_failed_write_keeps_the_old_checkpoint(tmp_path, monkeypatch):
    file = tmp_path / "run.pt"
    checkpoints.save(file, {"step": 1})
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("no space left on device")))
    with pytest.raises(checkpoints.CheckpointError, match=r"no space .*; the one before is still there; .*--resume"):
        checkpoints.save(file, {"step": 2})
    assert checkpoints.load(file)["step"] == 1 and os.listdir(tmp_path) == ["run.pt"]


def test_the_place_is_tried_before_the_first_epoch(digits, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "folder").mkdir()
    wrong = {
        "folder": "must be a file, got the folder",
        "file/run.pt": "no checkpoint can be written to .*another place",
    }
    monkeypatch.setattr("resnet_edu.training._Run.epoch", lambda *_: pytest.fail("it trained"))
    for place, message in wrong.items():
        with pytest.raises(ValueError, match=message):
            next(train(small(), digits, checkpoint=tmp_path / place, resume=True))
    monkeypatch.setattr("pathlib.Path.write_bytes", lambda *_: (_ for _ in ()).throw(PermissionError(13, "Forbidden")))
    with pytest.raises(ValueError, match=r"run.pt \(Forbidden\); name another place"):
        next(train(small(), digits, checkpoint=tmp_path / "run.pt"))
    assert (tmp_path / "file").read_text() == "kept" and sorted(os.listdir(tmp_path)) == ["file", "folder"]


@pytest.mark.parametrize("done", [1, 3])
def test_a_constant_run_made_longer_ends_with_the_same_bits(digits, tmp_path, done):
    file, config = tmp_path / "run.pt", TrainConfig(epochs=3, schedule="constant", augment=True)
    whole = small()
    expected = list(train(whole, digits, replace(config, epochs=5)))
    run = train(small(), digits, config, checkpoint=file)
    for _ in range(done):
        next(run)
    run.close()
    resumed = small()
    records = list(train(resumed, digits, replace(config, epochs=5), checkpoint=file, resume=True))
    assert same(weights(whole), weights(resumed))
    assert [r.train_loss for r in records] == [r.train_loss for r in expected]


def test_a_step_schedule_made_longer_keeps_its_falls(digits, tmp_path, monkeypatch):
    file, config = tmp_path / "run.pt", TrainConfig(epochs=4, schedule="paper", batch_size=256)
    list(train(small(), digits, config, checkpoint=file))
    for epochs in (6, 7):  # longer once, and once more
        resumed = small()
        records = list(train(resumed, digits, replace(config, epochs=epochs), checkpoint=file, resume=True))
        assert [r.learning_rate for r in records] == pytest.approx([0.1, 0.1, 0.01] + [0.001] * (epochs - 3))
    planned = learning_rate_at
    monkeypatch.setattr("resnet_edu.training.learning_rate_at", lambda config, step, steps: planned(config, step, 24))
    whole = small()
    list(train(whole, digits, replace(config, epochs=7)))
    assert same(weights(whole), weights(resumed))


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_a_schedule_over_all_epochs_cannot_be_made_longer_and_says_why(digits, tmp_path, schedule):
    file, config = tmp_path / "run.pt", TrainConfig(epochs=2, schedule=schedule, batch_size=512)
    list(train(small(), digits, config, checkpoint=file))
    for epochs, message in (
        (3, rf"a run of 2 epochs \(now 3\), and schedule '{schedule}' plans"),
        (1, "holds 2 epochs"),
    ):
        with pytest.raises(checkpoints.CheckpointError, match=message):
            next(train(small(), digits, replace(config, epochs=epochs), checkpoint=file, resume=True))


def test_unusable_checkpoints_are_explained(digits, tmp_path):
    file, config = tmp_path / "run.pt", TrainConfig(epochs=1)
    list(train(small(), digits, config, checkpoint=file))

    def resume(network=None, data=digits, config=config):
        return list(train(network or small(), data, config, checkpoint=file, resume=True))

    with pytest.raises(FileExistsError, match="pass resume=True"):
        list(train(small(), digits, config, checkpoint=file))
    with pytest.raises(checkpoints.CheckpointError, match=r"learning_rate 0.1 \(now 0.2\)"):
        resume(config=TrainConfig(epochs=1, learning_rate=0.2))
    with pytest.raises(checkpoints.CheckpointError, match="of another network"):
        resume(cifar_resnet(14, width=4, in_channels=1))
    with pytest.raises(checkpoints.CheckpointError, match="other images"):
        resume(data=synthetic(size=8, channels=1, num_classes=10))
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(checkpoints.CheckpointError, match="not a whole checkpoint"):
        resume()
    file.write_bytes(pickle.dumps(os.system, protocol=2))  # no code in a checkpoint is run
    with pytest.raises(checkpoints.CheckpointError):
        resume()
    torch.save({"format": 0}, file)
    with pytest.raises(checkpoints.CheckpointError, match="this version"):
        resume()
    with pytest.raises(FileNotFoundError, match="there is no checkpoint"):
        checkpoints.load(tmp_path / "absent.pt")


# Two processes

WORKER = """
import sys, torch
from resnet_edu.datasets import digits
from resnet_edu.networks import cifar_resnet
from resnet_edu.training import TrainConfig, train
for normalization in ("none", "batch"):
    torch.manual_seed(0)
    network = cifar_resnet(8, width=4, in_channels=1, normalization=normalization)
    config = TrainConfig(epochs=1, augment=True, learning_rate=0.02, schedule="constant")
    records = list(train(network, digits(), config, checkpoint=f"{sys.argv[1]}/{normalization}.pt"))
    if torch.distributed.get_rank() == 0:
        end = (network.state_dict(), records[0].train_loss, records[0].test_loss)
        torch.save(end, f"{sys.argv[1]}/{normalization}.end")
torch.distributed.destroy_process_group()
"""


def in_halves(network, halves=2):
    """One process that normalises each half of the batch by itself, as two processes do."""
    forward = network.forward

    def split(images):
        return (
            torch.cat([forward(part) for part in images.tensor_split(halves)]) if network.training else forward(images)
        )

    network.forward = split
    return network


def test_two_processes_agree_with_one_at_the_same_global_batch(digits, tmp_path):
    (tmp_path / "worker.py").write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    done = subprocess.run([*command, tmp_path / "worker.py", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    for normalization in ("none", "batch"):
        two, train_loss, test_loss = torch.load(tmp_path / f"{normalization}.end", weights_only=False)
        one = small(normalization=normalization)
        start = weights(one)
        if normalization == "batch":  # statistics per process, as on the paper's two GPUs
            in_halves(one)
        config = TrainConfig(epochs=1, augment=True, learning_rate=0.02, schedule="constant")
        (record,) = train(one, digits, config)
        assert record.train_loss == pytest.approx(train_loss, rel=1e-4)
        for name, parameter in one.named_parameters():
            assert torch.allclose(parameter, two[name], atol=2e-4), name
        assert (two["fc.weight"] - start["fc.weight"]).abs().max() > 0.01  # it moved at all
        if normalization == "none":
            assert record.test_loss == pytest.approx(test_loss, rel=1e-4)
        assert math.isfinite(test_loss) and (tmp_path / f"{normalization}.pt").exists()


def test_the_body_can_have_a_rate_of_its_own(digits):
    torch.manual_seed(0)
    start = cifar_resnet(8, width=2, in_channels=1)
    config = TrainConfig(epochs=1, momentum=0, weight_decay=0, schedule="constant", batch_size=len(digits.train))
    moves = {}
    for factor in (1.0, 0.1):
        network = copy.deepcopy(start)
        list(train(network, digits, replace(config, body_rate=factor)))
        pairs = zip(start.named_parameters(), network.parameters(), strict=True)
        moves[factor] = {name: (after - before).detach() for (name, before), after in pairs}
    for name, move in moves[1.0].items():
        expected = move if name.startswith("fc.") else 0.1 * move
        assert torch.allclose(moves[0.1][name], expected, rtol=1e-3, atol=1e-6), name


def test_a_body_rate_needs_a_head(digits):
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with pytest.raises(ValueError, match="called fc"):
        list(train(network, digits, TrainConfig(epochs=1, body_rate=0.1)))
    with pytest.raises(ValueError, match="body_rate must be"):
        TrainConfig(body_rate=0)
