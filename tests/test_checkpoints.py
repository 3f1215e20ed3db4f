"""Trainings broken off by every means there is - SIGKILL, Ctrl-C, NaN, a full disk - and what is left of them."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import paddle
import pytest
import safetensors.numpy
from paddle.nn.functional import binary_cross_entropy_with_logits, l1_loss

from helpers import checkpoints, files, training
from helpers.files import DataError
from helpers.samples import Samples
from helpers.schedules import Schedule

EPOCHS = 50
SCHEDULE = Schedule(EPOCHS, batch=4, rate=0.02, kind="one-cycle", weight_decay=1e-2, patience=EPOCHS)


def network(seed=11, width=6):
    """A small one, with everything that has a state or a chance in it: normalisation, dropout, and some weight."""
    paddle.seed(seed)
    nn = paddle.nn
    head = (nn.Flatten(), nn.Linear(width * 125, 300), nn.ReLU(), nn.Dropout(0.4), nn.Linear(300, 1))
    return nn.Sequential(nn.Conv3D(1, width, 3, padding=1), nn.BatchNorm3D(width), nn.ReLU(), *head)


def vary(volume, rng):
    return volume + rng.normal(0, 0.3, volume.shape).astype(np.float32)


def make_sets():
    rng = np.random.default_rng(0)
    labels = np.arange(32) % 2
    volumes = rng.normal(0, 1, (32, 5, 5, 5)).astype(np.float32) + 0.2 * labels[:, None, None, None].astype(np.float32)
    return Samples(volumes, labels, range(20), 7, vary), Samples(volumes, labels, range(20, 32), 7)


def accuracy(targets, log_odds):
    return float(np.mean((log_odds > 0) == (targets > 0.5)))


def fit(net, folder, **options):
    facts = {"loss": binary_cross_entropy_with_logits, "metric": accuracy, "schedule": SCHEDULE, "seed": 5}
    files_ = {"checkpoint": folder / "last.safetensors", "weights": folder / "best.safetensors"}
    return training.fit(net, *make_sets(), **facts | files_ | options)


def short(epochs, **more):
    return Schedule(epochs, batch=4, rate=0.02, **{"patience": 50} | more)


def timeless(rows):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def same(one, other):
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and np.array_equal(one[name], other[name]) for name in one
    )


def history(folder):
    with safetensors.safe_open(folder / "last.safetensors", framework="np") as file:
        return json.loads(file.metadata()["checkpoint"])["history"]


def interrupt_in(epoch, net):
    """A network that is broken off by Ctrl-C in the third batch of an epoch, after some of its work is done."""
    passes, plain = [0], net.forward

    def forward(x):
        if net.training:
            passes[0] += 1
            if passes[0] == 5 * (epoch - 1) + 3:
                signal.raise_signal(signal.SIGINT)
        return plain(x)

    net.forward = forward
    return net


# Killed


def work(folder: Path, fatal: str) -> None:
    """What the killed processes do: go on, and write down the end. `fatal` names a moment of writing to die in."""
    net, moments = network(seed=int(time.time_ns() % 1000)), {"fsync": os.fsync, "replace": os.replace}
    if fatal:
        name, count = fatal.split(":")
        calls = []

        def die(*what):
            calls.append(what)
            if len(calls) == int(count):
                os.kill(os.getpid(), signal.SIGKILL)
            return moments[name](*what)

        setattr(os, name, die)
    if not (folder / "last.safetensors").exists():
        checkpoints.set_arrays(net, checkpoints.arrays(network()))
    print("the training begins", flush=True)
    result = fit(net, folder, resume=True, report=lambda line: print(line, flush=True))
    training.save(folder / "end.safetensors", net)
    facts = {"rows": result.rows, "best": result.best_epoch, "steps": result.steps, "ended": result.ended}
    files.write_json(folder / "end.json", facts | {"minutes": result.minutes})


def start(folder: Path, fatal: str = "") -> subprocess.Popen:
    command = [sys.executable, __file__, folder, fatal]
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | one_thread)


def run_to_the_end(folder: Path) -> dict:
    process = start(folder)
    process.communicate(timeout=120)
    assert process.returncode == 0
    return files.read_json(folder / "end.json")


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_killed_at_random_moments_and_resumed_it_is_the_same_training_to_the_last_bit(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    wanted = run_to_the_end(whole)
    epoch = np.median([row["seconds"] for row in wanted["rows"]])
    rng, reached, halves, codes = np.random.default_rng(2020), [], 0, []
    kills = [("", int(rng.integers(0, 6)), epoch * rng.uniform(0, 2)) for _ in range(10)]  # so many epochs, and a bit
    kills[3:3] = [("fsync:2", EPOCHS, 0), ("replace:3", EPOCHS, 0)]  # and twice for certain in the middle of writing
    for fatal, lines, seconds in kills:
        process = start(broken, fatal)
        for _ in range(1 + lines):
            process.stdout.readline()  # nothing is left to read when it dies on its own
        time.sleep(seconds)
        process.kill()
        process.communicate(timeout=120)
        codes.append(process.returncode)
        if (broken / "last.safetensors").exists():
            reached.append(len(history(broken)["rows"]))  # whole and readable, whenever it was killed
        halves += bool(list(broken.glob("*.part")))
    assert codes == [-signal.SIGKILL] * 12, "it came to its end before it was killed"
    assert halves >= 2  # those that died for certain while a file was being written, at least
    assert reached == sorted(reached)
    assert len(set(reached)) >= 6, "the kills are of no use: hardly any fell within the training"
    found = run_to_the_end(broken)
    assert timeless(found["rows"]) == timeless(wanted["rows"])
    assert [found[name] for name in ("best", "steps", "ended")] == [wanted[name] for name in ("best", "steps", "ended")]
    for name in ("end", "best"):
        pair = [files.load_weights(folder / f"{name}.safetensors") for folder in (whole, broken)]
        assert same(*pair)
    pair = [files.load_weights(folder / "last.safetensors") for folder in (whole, broken)]
    assert same(*pair)  # the moments of the optimizer among them
    assert not list(broken.glob("*.part"))  # nothing is left lying about


# Resumed


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder, net = tmp_path_factory.mktemp("unbroken"), network()
    result = fit(net, folder, schedule=short(6))
    return checkpoints.arrays(net), result, files.load_weights(folder / "last.safetensors")


@pytest.mark.parametrize("epoch", [2, 3, 6])
def test_ctrl_c_leaves_the_best_weights_and_the_history_and_it_can_go_on(tmp_path, unbroken, epoch):
    weights, wanted, last = unbroken
    net = interrupt_in(epoch, network())
    result = fit(net, tmp_path, schedule=short(6))  # it returns: no traceback in the notebook
    assert result.by_hand
    assert result.ended == f"stopped by hand in epoch {epoch}"
    assert timeless(result.rows) == timeless(wanted.rows[: epoch - 1])
    assert same(checkpoints.arrays(net), files.load_weights(tmp_path / "best.safetensors"))
    loss, _ = training.evaluate(net, make_sets()[1], binary_cross_entropy_with_logits, accuracy, 4)
    assert loss == min(row["valid_loss"] for row in result.rows)
    assert str(result).startswith(f"stopped by hand in epoch {epoch}; kept epoch {result.best_epoch} of {epoch - 1}: ")

    spent = history(tmp_path)["minutes"]
    again, lines = network(seed=99), []
    done = fit(again, tmp_path, schedule=short(6), resume=True, report=lines.append)
    assert lines[0] == f"going on after epoch {epoch - 1} of 6"
    assert len(lines) == 1 + 6 - (epoch - 1)
    assert (timeless(done.rows), done.best_epoch, done.steps) == (timeless(wanted.rows), wanted.best_epoch, 30)
    assert not done.by_hand
    assert done.ended == wanted.ended
    assert same(checkpoints.arrays(again), weights)
    assert same(files.load_weights(tmp_path / "last.safetensors"), last)
    assert done.minutes > spent


def test_ctrl_c_in_the_first_epoch_returns_too(tmp_path):
    net = interrupt_in(1, network())
    before = checkpoints.arrays(network())
    result = fit(net, tmp_path)
    assert (result.rows, result.best_epoch, result.by_hand) == ([], 0, True)
    assert str(result) == (
        "stopped by hand in epoch 1; no epoch was finished, so the weights are those of the last step"
    )
    assert result.seconds_per_step is None
    assert not same(checkpoints.arrays(net), before)  # two steps were made
    assert np.isfinite(training.predict(net, make_sets()[1])).all()
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_a_checkpoint_is_written_leaves_the_one_before(tmp_path, monkeypatch):
    calls, replace = [], os.replace

    def interrupted(part, path):
        calls.append(path)
        if Path(path).name == "last.safetensors" and len(history(tmp_path)["rows"] if calls[2:] else []) == 2:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)  # once would let the epoch be written
        return replace(part, path)

    monkeypatch.setattr(os, "replace", interrupted)
    result = fit(network(), tmp_path, schedule=short(6))
    assert result.ended == "stopped by hand in epoch 3"
    assert len(result.rows) == 3  # its work was done; only writing it was not
    assert history(tmp_path)["rows"] == result.rows[:2]
    assert not list(tmp_path.glob("*.part"))


def test_a_training_that_was_already_at_its_end_trains_no_more(tmp_path, unbroken, monkeypatch):
    weights, wanted, _ = unbroken
    fit(network(), tmp_path, schedule=short(6))
    monkeypatch.setattr(training, "_train_epoch", lambda *_: pytest.fail("it was trained"))
    net = network(seed=3)
    done = fit(net, tmp_path, schedule=short(6), resume=True)
    assert done.ended == wanted.ended == "all 6 epochs done"
    assert same(checkpoints.arrays(net), weights)


def test_patience_goes_on_counting_where_it_was(tmp_path):
    plan = {"schedule": short(60, patience=4)}
    whole, part, again = network(), network(), network(seed=1)
    wanted = fit(whole, tmp_path / "a", **plan)
    assert wanted.best_epoch + 4 == len(wanted.rows) < 60
    fit(interrupt_in(len(wanted.rows) - 1, part), tmp_path / "b", **plan)
    assert len(history(tmp_path / "b")["rows"]) > wanted.best_epoch  # so the best weights lie in it on their own
    done = fit(again, tmp_path / "b", resume=True, **plan)
    assert (timeless(done.rows), done.best_epoch, done.ended) == (
        timeless(wanted.rows),
        wanted.best_epoch,
        wanted.ended,
    )
    assert same(checkpoints.arrays(again), checkpoints.arrays(whole))


def test_resuming_puts_the_best_weights_back_where_they_were_to_be(tmp_path):
    fit(interrupt_in(4, network()), tmp_path)
    best = (tmp_path / "best.safetensors").read_bytes()
    (tmp_path / "best.safetensors").unlink()
    fit(interrupt_in(1, network()), tmp_path, resume=True)
    assert (tmp_path / "best.safetensors").read_bytes() == best


def test_with_nothing_to_go_on_from_it_starts_at_the_first_epoch(tmp_path):
    result = fit(network(), tmp_path, schedule=short(2), resume=True)
    assert len(result.rows) == 2


def test_without_resume_a_checkpoint_is_not_overwritten(tmp_path):
    fit(interrupt_in(3, network()), tmp_path)
    before = (tmp_path / "last.safetensors").read_bytes()
    with pytest.raises(DataError, match=r"last\.safetensors: .* not finished; go on with --resume .*, or delete it"):
        fit(network(), tmp_path)
    assert (tmp_path / "last.safetensors").read_bytes() == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schedule": short(9)}, "epochs is 6 there and 9 here"),
        ({"schedule": short(6, weight_decay=0.1)}, r"weight_decay is 0\.0 there and 0\.1 here"),
        ({"seed": 6}, "seed is 5 there and 6 here"),
        ({"loss": l1_loss}, "loss is binary_cross_entropy_with_logits there and l1_loss here"),
        ({"data": "b" * 64}, "data is aaaaaaaaaaaa… there and bbbbbbbbbbbb… here"),
    ],
)
def test_another_training_is_refused_and_nothing_is_changed(tmp_path, change, words):
    plan = {"schedule": short(6), "data": "a" * 64}
    fit(interrupt_in(2, network()), tmp_path, **plan)
    net, before = network(seed=8), (tmp_path / "last.safetensors").read_bytes()
    weights = checkpoints.arrays(net)
    weights = {name: array.copy() for name, array in weights.items()}
    with pytest.raises(DataError, match=f"it belongs to another training: {words}; ") as caught:
        fit(net, tmp_path, resume=True, **plan | change)
    assert "\n" not in str(caught.value)
    assert same(checkpoints.arrays(net), weights)
    assert (tmp_path / "last.safetensors").read_bytes() == before


def test_another_network_is_refused_by_layer(tmp_path):
    fit(interrupt_in(2, network()), tmp_path)
    with pytest.raises(DataError, match=r"0\.weight is float32 \[6, 1, 3, 3, 3\] there and float32 \[4, 1, 3, 3, 3\]"):
        fit(network(width=4), tmp_path, resume=True)


@pytest.mark.parametrize("content", ["cut", "garbage", "empty", "weights", "version", "list"])
def test_what_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "last.safetensors"
    fit(interrupt_in(2, network()), tmp_path)
    whole = path.read_bytes()
    if content == "weights":
        training.save(path, network())
    elif content == "list":
        path.write_bytes(safetensors.numpy.save({}, metadata={"checkpoint": "[1]"}))
    else:
        other = whole.replace(b'\\"version\\": 1', b'\\"version\\": 2')
        path.write_bytes({"cut": whole[:-3], "garbage": b"weights", "empty": b"", "version": other}[content])
    with pytest.raises(DataError) as caught:
        fit(network(), tmp_path, resume=True)
    words = {
        "weights": "it is not a checkpoint",
        "list": "it is not a checkpoint",
        "version": "checkpoint of version 2",
    }
    assert words.get(content, "it is not a whole checkpoint") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_layers_that_were_never_used_and_counters_that_moved_on_do_no_harm(tmp_path):
    """Paddle names moments by a counter, and makes none for a layer without a gradient."""

    class Partly(paddle.nn.Layer):
        def __init__(self):
            super().__init__()
            self.idle, self.used = paddle.nn.Linear(3, 3), network()

        def forward(self, x):
            return self.used(x)

    [paddle.nn.Linear(1, 1) for _ in range(3)]
    paddle.seed(1)
    one, facts = Partly(), {}
    optimizer = paddle.optimizer.AdamW(0.1, parameters=one.parameters())
    for _ in range(2):
        one(paddle.rand([4, 1, 5, 5, 5])).sum().backward()
        optimizer.step()
        optimizer.clear_grad()
    note = {"rows": [{"loss": 1 / 3}, {"loss": float(np.float32(0.1))}], "best_epoch": 1}
    checkpoints.save(tmp_path / "c", facts, note, one, optimizer, checkpoints.arrays(network()))
    other = Partly()
    fresh = paddle.optimizer.AdamW(0.1, parameters=other.parameters())
    found, best, _ = checkpoints.load(tmp_path / "c", facts, other, fresh)
    assert found == note
    assert same(best, checkpoints.arrays(network()))
    assert same(checkpoints.arrays(other), checkpoints.arrays(one))
    old, new = (
        {name: tensor.numpy() for name, tensor in checkpoints._moments(*pair).items()}
        for pair in ((one, optimizer), (other, fresh))
    )
    assert same(old, new)
    assert old["beta1_pow_acc/used.0.weight"] == pytest.approx(0.9**3)
    assert not any("idle" in name for name in old)


# A loss that is no number, and a full disk


def test_a_loss_that_is_no_number_leaves_the_last_good_checkpoint(tmp_path):
    calls = []

    def poisoned(outputs, targets):
        calls.append(1)
        return binary_cross_entropy_with_logits(outputs, targets) * (float("nan") if len(calls) == 15 else 1)

    net = network()
    with pytest.raises(FloatingPointError, match="nan in epoch 3, batch 3; lower the learning rate"):
        fit(net, tmp_path, loss=poisoned)  # 5 batches an epoch, and the validation's one
    assert len(history(tmp_path)["rows"]) == 2
    assert same(checkpoints.arrays(net), files.load_weights(tmp_path / "best.safetensors"))
    assert all(np.isfinite(array).all() for array in files.load_weights(tmp_path / "last.safetensors").values())


def full(tmp_path, room):
    """Run a training in a folder of its own file system, which has so little room; the error it ends with."""
    net = network()
    with pytest.raises(DataError) as caught:
        fit(net, room, schedule=short(6), weights=tmp_path / "best.safetensors")
    assert same(checkpoints.arrays(net), files.load_weights(tmp_path / "best.safetensors"))
    return str(caught.value)


@pytest.fixture
def little_room(tmp_path):
    """A real file system of 9 MB: a checkpoint takes 2.7 MB without best weights of its own, 3.6 MB with them."""
    folder = tmp_path / "little"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", folder]
    if sys.platform != "linux" or os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here: only root on Linux may")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_that_is_really_full_keeps_the_last_good_checkpoint_and_says_so(tmp_path, little_room):
    size = sum(array.nbytes for array in checkpoints.arrays(network()).values()) * 3
    (little_room / "ballast").write_bytes(bytes(9 * 2**20 - size - size // 2))  # room for one, but not for the next
    text = full(tmp_path, little_room)
    assert text == (
        f"{(little_room / 'last.safetensors').as_posix()}: epoch 2 cannot be saved because the disk is full, but what "
        "epoch 1 left there is whole; make room, then go on with --resume (in Python: resume=True)."
    )
    assert sorted(path.name for path in little_room.iterdir()) == ["ballast", "last.safetensors"]
    (little_room / "ballast").unlink()
    plan, net, wanted = {"schedule": short(3)}, network(seed=4), network()
    with pytest.raises(DataError, match="epochs is 6 there"):
        fit(net, little_room, resume=True, **plan)
    wanted_rows = fit(wanted, tmp_path / "plenty", schedule=short(6)).rows
    done = fit(net, little_room, schedule=short(6), weights=None, resume=True)  # with room it goes on as if nothing was
    assert timeless(done.rows) == timeless(wanted_rows)
    assert same(checkpoints.arrays(net), checkpoints.arrays(wanted))


@pytest.mark.parametrize(("code", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "Permission denied")])
@pytest.mark.parametrize(("name", "kept"), [("last", 3), ("best", 1), ("last", 0), ("best", 0)])
def test_an_epoch_that_cannot_be_saved_is_told_with_what_is_left(tmp_path, monkeypatch, code, words, name, kept):
    monkeypatch.setattr(training, "evaluate", lambda *_: (losses.pop(0), 0.5))
    losses, calls, write = [0.5, 0.7, 0.6, 0.4, 0.3], [], files.write_atomic  # so that epochs 1 and 4 are the best

    def limited(path, content):
        if path.name == f"{name}.safetensors":
            calls.append(path)
            if len(calls) == (kept if name == "last" else bool(kept)) + 1:
                raise OSError(code, os.strerror(code))
        return write(path, content)

    monkeypatch.setattr(files, "write_atomic", limited)
    with pytest.raises(DataError) as caught:
        fit(network(), tmp_path)
    epoch = 4 if kept else 1
    assert str(caught.value).startswith(f"{(tmp_path / name).as_posix()}.safetensors: epoch {epoch} cannot be saved ")
    assert words in str(caught.value)
    assert (f"but what epoch {kept} left there is whole; " if kept else "and there is no earlier one; ") in str(
        caught.value
    )
    if kept:
        assert len(history(tmp_path)["rows"]) == 3


def test_without_a_checkpoint_nobody_is_told_to_resume(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "write_atomic", full)
    with pytest.raises(
        DataError, match=r"because the disk is full, and there is no earlier one; .* then train again\."
    ):
        fit(network(), tmp_path, checkpoint=None)


if __name__ == "__main__":
    work(Path(sys.argv[1]), sys.argv[2])
