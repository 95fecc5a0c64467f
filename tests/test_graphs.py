"""The step as a CUDA graph, on a stand-in for graphs; a GPU runs the tests of ``test_training`` that wait for one."""

import contextlib
from dataclasses import replace
from types import SimpleNamespace

import graphs
import pytest
import torch
from torch import nn

from resnet_edu import devices, training
from resnet_edu.datasets import Split
from resnet_edu.distributed import Processes, own_device
from resnet_edu.networks import cifar_resnet
from resnet_edu.training import TrainConfig, _compute, train

CONFIG = TrainConfig(epochs=2, batch_size=40, learning_rate=0.02, cuda_graph=True)


@pytest.fixture
def few(digits):
    """Return 130 digits to learn from: a last batch of 10 images."""
    return replace(digits, train=Split(digits.train.images[:130], digits.train.labels[:130]))


def trained(data, config, prepare=lambda network: None, **options):
    torch.manual_seed(0)
    network = cifar_resnet(8, width=2, in_channels=1, **options)
    prepare(network)
    losses = [record.train_loss for record in train(network, data, config)]
    return losses, torch.cat([value.flatten().float() for value in network.state_dict().values()])


def same_as_eager(data, config, **options):
    graphed, eager = (trained(data, one, **options) for one in (config, replace(config, cuda_graph=False)))
    assert graphed[0] == pytest.approx(eager[0], rel=1e-4)
    assert torch.allclose(graphed[1], eager[1], rtol=1e-3, atol=1e-5)


def test_a_replayed_step_computes_what_an_eager_one_does(few, monkeypatch):
    made = graphs.install(monkeypatch)
    same_as_eager(few, CONFIG)
    assert made and made[0].calls


def test_an_empty_graph_is_an_error(few, monkeypatch):
    graphs.install(monkeypatch, empty=True)
    with pytest.raises(RuntimeError, match="the CUDA graph of a step is empty.*leave out cuda_graph"):
        trained(few, CONFIG)


def test_a_gpu_that_is_not_the_current_one_becomes_it_and_draws_from_its_own_generator(monkeypatch):
    entered, generators = [], [torch.Generator().manual_seed(number) for number in range(2)]
    before = [generator.get_state() for generator in (*generators, torch.default_generator)]

    @contextlib.contextmanager
    def device(one):
        entered.append(one)
        yield

    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "default_generators", generators, raising=False)
    second = torch.device("cuda:1")
    with _compute(1, second, 7) as state:
        assert entered == [second] and devices.default_generator(second) is generators[1]
        assert generators[1].initial_seed() == 7
        assert torch.equal(generators[0].get_state(), before[0])  # what is not used is not reseeded
        torch.rand(3, generator=generators[1])
        reached = state()
    expected = torch.rand(2, generator=torch.Generator().set_state(reached))
    with _compute(1, second, reached):
        assert torch.equal(torch.rand(2, generator=generators[1]), expected)
    after = [generator.get_state() for generator in (*generators, torch.default_generator)]
    assert all(map(torch.equal, before, after))


def test_a_bare_cuda_is_the_processes_own_gpu(monkeypatch):
    asked = []
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *args, device: asked.append(device) or empty(0))
    for name in ("cuda", None, "cuda:1", "cpu"):
        own_device(name)
    assert asked == ["cuda:3", "cuda:3", "cuda:1", "cpu"]


@pytest.mark.parametrize("graph", [False, True])
def test_a_first_step_that_overflows_leaves_no_rubbish_in_the_momenta(few, monkeypatch, graph):
    """The scaler leaves such a step out; the fused update then took memory that nobody had written as its momentum."""
    graphs.install(monkeypatch)
    config = replace(CONFIG, cuda_graph=graph)
    run = training._Run(cifar_resnet(8, width=2, in_channels=1), few, config)
    for parameter in run.network.parameters():
        assert torch.equal(run.stepper.optimizer.state[parameter]["momentum_buffer"], torch.zeros_like(parameter))
    fused = torch.optim.SGD([nn.Parameter(torch.ones(3))], 0.1, 0.9, fused=True)
    (parameter,) = fused.param_groups[0]["params"]
    fused.state[parameter]["momentum_buffer"] = torch.zeros(3)
    parameter.grad = torch.full((3,), torch.inf)
    fused.grad_scale, fused.found_inf = torch.ones(()), torch.ones(())
    fused.step()
    assert torch.equal(parameter.detach(), torch.ones(3))
    parameter.grad, fused.found_inf = torch.ones(3), torch.zeros(())
    fused.step()
    assert torch.allclose(parameter.detach(), torch.full((3,), 0.9))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_frozen_parameters_and_no_momentum_take_a_graph(few, monkeypatch, momentum):
    graphs.install(monkeypatch)
    config = replace(CONFIG, momentum=momentum, epochs=1)
    same_as_eager(few, config)
    same_as_eager(few, config, prepare=lambda network: network.conv1.requires_grad_(False))


def test_gradients_are_those_of_the_last_step_after_a_short_batch_too(few, monkeypatch):
    made, seen = graphs.install(monkeypatch), {}
    for graph in (True, False):
        torch.manual_seed(0)
        network = cifar_resnet(8, width=2, in_channels=1)
        run = train(network, few, replace(CONFIG, cuda_graph=graph), log_every=1)
        seen[graph] = [network.conv1.weight.grad.clone() for _ in run]
    assert len(made) == 2  # one for 40 images, one for the last 10
    for graphed, eager in zip(seen[True], seen[False], strict=True):
        assert torch.allclose(graphed, eager, rtol=1e-2, atol=1e-4)


def test_recording_consumes_neither_random_numbers_nor_the_scalers_state(few, monkeypatch):
    graphs.install(monkeypatch)
    same_as_eager(few, replace(CONFIG, augment=True), mixing="dropout")
    run = training._Run(cifar_resnet(8, width=2, in_channels=1, mixing="dropout"), few, CONFIG)
    run.stepper.scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)  # grows at every other step
    state, before = run.stepper.scaler.state_dict(), torch.get_rng_state()
    run.stepper._record(few.normalize(few.train.images[:40]), few.train.labels[:40], 40)
    assert run.stepper.scaler.state_dict() == state and torch.equal(torch.get_rng_state(), before)


def test_a_graphed_run_that_goes_on_ends_as_if_never_stopped(few, monkeypatch, tmp_path):
    graphs.install(monkeypatch)
    whole = trained(few, CONFIG, mixing="dropout")
    networks = []
    for _ in range(2):
        torch.manual_seed(0)
        networks.append(cifar_resnet(8, width=2, in_channels=1, mixing="dropout"))
    first = train(networks[0], few, CONFIG, checkpoint=tmp_path / "run.pt")
    next(first)
    first.close()
    records = list(train(networks[1], few, CONFIG, checkpoint=tmp_path / "run.pt", resume=True))
    assert [record.train_loss for record in records] == pytest.approx(whole[0], rel=1e-6)


@pytest.mark.parametrize(("capability", "allowed"), [((7, 5), False), ((7, 0), False), ((8, 0), True), ((9, 0), True)])
def test_emulated_bfloat16_is_refused_and_float16_named(few, monkeypatch, capability, allowed):
    """A T4, as Colab lends them, has 7.5; PyTorch says that it supports bfloat16."""
    config = TrainConfig(precision="bfloat16")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    run = SimpleNamespace(
        network=SimpleNamespace(parameters=lambda: iter([SimpleNamespace(device=torch.device("cuda:0"))])),
        data=SimpleNamespace(device=torch.device("cuda:0"), num_classes=10),
        config=config,
        count=640,
        processes=Processes(),
        _smallest=lambda size: size,
        _check_memory=lambda: None,
    )
    if allowed:
        training._Run._check(run)
    else:
        with pytest.raises(ValueError, match="8.0 or higher, and cuda:0 has less .* use 'float16'"):
            training._Run._check(run)


def test_a_short_batch_does_not_make_the_compiled_network_dynamic(few, monkeypatch):
    asked = {}
    monkeypatch.setattr(torch, "compile", lambda model, **options: asked.update(options) or model)
    next(train(cifar_resnet(8, width=2, in_channels=1), few, TrainConfig(epochs=1, compile=True)))
    assert asked == {"dynamic": False}
