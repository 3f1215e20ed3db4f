"""The class clock: a step is the task's own, and what is made of its time holds against what was recorded."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle.base import core

from helpers import clock, costs, ct_job, datasets, l3_job, networks, runtime, siim_job, xray_job
from helpers.clock import CASES, Clock, Timing
from helpers.tasks import TASKS

ROOT = Path(__file__).resolve().parents[1]
PASSPORTS = [
    json.loads(path.read_text()) for path in sorted((ROOT / "notebooks/passports").glob("*-quick-phantom.json"))
]


def a_run(size="quick"):
    return runtime.Run(0, size, "cpu", xray_job.NOWHERE)


def steps(name, size):
    schedule = TASKS[name](a_run(size)).schedule
    return schedule.epochs * int(np.ceil(datasets.FRACTIONS[0] * CASES[name][size] / schedule.batch))


@pytest.mark.parametrize("size", ["quick", "class"])
@pytest.mark.parametrize("name", TASKS)
def test_as_many_cases_as_the_tasks_open(name, size, monkeypatch):
    """The tasks are asked for their data, and what they would open is caught."""
    openers = {
        "ct": (ct_job.datasets, "open_ct", lambda settings: settings.healthy + settings.ill),
        "l3": (l3_job.l3_scans, "open_l3", lambda settings: settings.count),
        "pneumothorax": (siim_job, "open_siim", lambda settings: settings.count),
        "xray": (xray_job, "open_radiography", lambda settings: 3 * settings.each),
    }
    module, opener, count = openers[name]
    monkeypatch.setattr(module, opener, lambda settings, *_: count(settings))
    assert TASKS[name](a_run(size)).data() == CASES[name][size]


@pytest.mark.parametrize("found", PASSPORTS, ids=lambda found: found["task"])
def test_the_recorded_runs_took_as_many_steps(found):
    """Steps times seconds a step are the minutes of a passport, which hold validation as well."""
    training = found["seconds_per_step"] * steps(found["task"], "quick") / 60
    assert 0.75 < training / found["minutes"] < 1.05


@pytest.mark.parametrize("found", PASSPORTS, ids=lambda found: found["task"])
def test_the_recorded_memory_is_within_a_factor_of_two(found):
    task = TASKS[found["task"]](a_run())
    shape = clock.stand_in(task, 1).train[0][0].shape
    predicted = clock.memory(costs.costs(task.network(), shape), task.schedule.batch)
    assert 0.5 < predicted / found["peak_memory_gb"] < 2


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the peak of a process apart from its parent's")
def test_the_memory_of_a_large_network_is_within_a_factor_of_two():
    """Of a process that takes two steps, without what is loaded anyway: that is most of a small network's."""
    shape, batch = (1, 64, 64, 64), 4
    lines = [
        "import re, helpers, paddle",
        "from helpers import networks",
        "peak = lambda: int(re.search('VmHWM: *([0-9]+)', open('/proc/self/status').read().expandtabs())[1]) / 1e6",
        "loaded = peak()",
        f"network, images = networks.CNN3D(32, {shape[1:]}), paddle.rand({[batch, *shape]})",
        "optimizer = paddle.optimizer.AdamW(1e-3, parameters=network.parameters())",
        "for _ in range(2):",
        "    network(images).mean().backward(); optimizer.step(); optimizer.clear_grad()",
        "print(loaded, peak())",
    ]
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded, peak = map(float, done.stdout.split())
    predicted = clock.memory(costs.costs(networks.CNN3D(32, shape[1:]), shape), batch)
    assert 1 < clock.LOADED / loaded < 3  # the tasks and what they need come on top
    assert 0.5 < (predicted - clock.LOADED) / (peak - loaded) < 2


def test_a_trained_number_takes_four_of_them():
    """On an image so small that nothing else counts, Paddle's own count of what it holds at the most tells."""
    allocated = "Allocated", 0
    before = core.host_memory_stat_current_value(*allocated)
    network = networks.ResNet(18, channels=1, width=24)
    optimizer = paddle.optimizer.AdamW(parameters=network.parameters())
    network(paddle.rand([1, 1, 64, 64])).mean().backward()
    core.host_memory_stat_reset_peak_value(*allocated)
    optimizer.step()
    peak = core.host_memory_stat_peak_value(*allocated) - before
    assert peak / networks.count_parameters(network)[1] == pytest.approx(4 * costs.FLOAT, rel=0.1)


@pytest.mark.parametrize("name", TASKS)
def test_a_step_is_a_step_of_the_task(name):
    """Its batch has the form that the network and the loss of the task expect, and all that is trained moves."""
    task = TASKS[name](a_run())
    network, sets = task.network(), clock.stand_in(task, 3)
    before = {key: tensor.numpy().copy() for key, tensor in network.state_dict().items()}
    network.eval()
    clock._step(task, network, sets)()
    same = [key for key, tensor in network.state_dict().items() if np.array_equal(tensor.numpy(), before[key])]
    assert same == []  # BatchNorm's statistics move too: it trains
    assert network.training
    inputs, targets = (np.stack(part) for part in zip(*(sets.train[i] for i in range(3)), strict=True))
    value = task.loss(network(paddle.to_tensor(inputs)), paddle.to_tensor(targets))
    assert np.isfinite(value.item())
    assert len(sets.train) == 3
    assert 0 <= task.metric(targets, network(paddle.to_tensor(inputs)).numpy()) <= 1


def test_cases_of_noise_are_varied_as_real_ones_are():
    for name in TASKS:
        train = clock.stand_in(TASKS[name](a_run()), 4).train
        first = [train[i][0] for i in range(4)]
        train.epoch = 1
        assert any(not np.array_equal(train[i][0], first[i]) for i in range(4)), name


def ticking(durations, monkeypatch):
    """Work that takes as long as it is told to, on a clock of its own."""
    now, left = [0.0], iter(durations)
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])

    def work():
        now[0] += next(left)

    return work


@pytest.mark.parametrize(
    ("durations", "expected"),
    [
        ([0.9, 0.1, 0.5, 0.2, 7.0], 0.2),  # the first warms up, three count, and no fifth is taken
        ([2.0, 1.5, 9.0], 1.5),
        ([4.0, 9.0], 4.0),
    ],
)
def test_the_median_without_the_first_while_patience_lasts(durations, expected, monkeypatch):
    assert clock._median_seconds(ticking(durations, monkeypatch)) == pytest.approx(expected)


def test_a_full_run_is_scaled_from_one_case(monkeypatch):
    monkeypatch.setattr(clock, "_median_seconds", lambda work: 3.0)
    found = clock.timing("ct", a_run("full"))
    assert (found.network, found.cases, found.batch) == ("CNN3D", 1, 2)
    assert (found.seconds, found.steps) == (6.0, 100 * 70)  # 140 of 200 scans train, two a step
    assert found.minutes == 700
    quick = clock.timing("xray", a_run())
    assert (quick.network, quick.cases, quick.batch, quick.seconds) == ("ResNet-18", 16, 16, 3.0)
    assert quick.steps == 24 * 15 == steps("xray", "quick")


@pytest.mark.parametrize(
    ("size", "sizes"), [("quick", "quick class full"), ("class", "class full"), ("full", "class full")]
)
def test_the_runs_own_size_and_the_two_larger_ones(size, sizes, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(clock, "timing", lambda name, run: asked.append((name, run)))
    clock.measure(runtime.Run(5, size, "cpu", tmp_path))
    assert [(name, run.size) for name, run in asked] == [(name, part) for part in sizes.split() for name in TASKS]
    assert {(run.seed, run.data_root) for _, run in asked} == {(5, xray_job.NOWHERE)}


def test_it_prints_what_it_predicts_and_how():
    quick = Timing("ct", "CNN3D", "quick", 8, 8, 0.09, 270, 0.8)
    full = Timing("ct", "CNN3D", "full", 1, 2, 5.0, 7000, 3.1)
    text = str(Clock((quick, full)))
    _, first, second, *notes = text.splitlines()
    assert first.split() == ["CNN3D", "quick", "0.09", "8", "of", "8", "cases", "270", "24", "s", "0.8", "GB"]
    assert all(part in second for part in ("1 of 2 cases", "9.7 h", "7,000"))
    assert any("scaled" in note for note in notes)
    assert "scaled" not in str(Clock((quick,)))
    assert Clock((quick, full)).rows == [("CNN3D", "quick", quick.minutes), ("CNN3D", "full", full.minutes)]


def test_latencies_are_of_the_published_networks(monkeypatch):
    monkeypatch.setattr(clock, "DEPTHS", (18, 34))
    found = clock.latencies()
    assert [(one.depth, one.parameters, round(one.flops / 2e6)) for one in found.rows] == [
        (18, 11_689_512, 1814),
        (34, 21_797_672, 3664),
    ]
    assert all(one.milliseconds > 0 for one in found.rows)
    assert "ResNet-18  11,689,512" in str(found)
