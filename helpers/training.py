"""One training loop for every job: batches, epochs, validation, the best epoch, weights.

Used by every notebook and by `python -m helpers.train`. The device is a property of the run, never of this code.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from helpers import checkpoints, files, runtime
from helpers.checkpoints import arrays, set_arrays
from helpers.files import DataError
from helpers.schedules import Schedule, ends_cycle, learning_rate
from helpers.stopping import StopBetweenSteps

Loss = Callable[[paddle.Tensor, paddle.Tensor], paddle.Tensor]
Metric = Callable[[np.ndarray, np.ndarray], float]


@dataclass
class Fit:
    """What a training was: one row an epoch, the epoch that was kept and why it ended."""

    rows: list[dict[str, float | None]] = field(default_factory=list)
    best_epoch: int = 0
    ended: str = ""
    steps: int = 0
    minutes: float = 0.0
    by_hand: bool = False  # whether Ctrl-C ended it
    snapshots: list[checkpoints.Arrays] = field(default_factory=list)  # the weights at each cosine cycle's end

    @property
    def seconds_per_step(self) -> float | None:
        """Mean time of a training step, validation left out."""
        return sum(row["seconds"] for row in self.rows) / self.steps if self.steps else None

    def __str__(self) -> str:
        if not self.rows:
            return f"{self.ended}; no epoch was finished, so the weights are those of the last step"
        best = self.rows[self.best_epoch - 1]
        figures = [
            f"{name.replace('_', ' ')} {best[name]:.3f}"
            for name in ("loss", "metric", "valid_loss", "valid_metric")
            if best[name] is not None
        ]
        return f"{self.ended}; kept epoch {self.best_epoch} of {len(self.rows)}: {', '.join(figures)}"


def fit(
    network: paddle.nn.Layer,
    train: paddle.io.Dataset,
    valid: paddle.io.Dataset,
    *,
    loss: Loss,
    metric: Metric,
    schedule: Schedule,
    seed: int,
    weights: str | Path | None = None,
    report: Callable[[str], None] | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
    data: str = "",
) -> Fit:
    """Train a network and leave it with the weights of its best epoch.

    Early stopping and the kept epoch watch one and the same figure: the loss on the validation set. Where there is
    no validation case, the last epoch is kept and `Fit.ended` says so. Order, variation and dropout are drawn from
    (seed, epoch), so that the same seed gives the same run, be it broken off and resumed or not.

    Ctrl-C ends a training in good order: the network has the weights of the best epoch so far, or, in the first epoch,
    those of the last step, and the history of the epochs that were finished is returned. An error leaves the network
    with its best weights too.

    Args:
        network: Trained in place.
        train: The training set; items are (input, target). Its ``epoch`` is set before each pass.
        valid: The validation set, which must not overlap the training set.
        loss: Called with outputs and targets; gives one number, a mean over cases.
        metric: Called with all targets and all outputs as arrays; counted over cases, never over batches.
        schedule: Epochs, batch size, learning rate, patience.
        seed: Of this training.
        weights: Where to save the best weights, if anywhere.
        report: Called with one line after each epoch.
        checkpoint: Where to write, after each epoch, all that is needed to go on; it stays when the training is done.
        resume: Go on from the checkpoint if there is one; without it, start at the first epoch.
        data: A hash of the data and their split, so that going on with other data is refused.

    Returns:
        The history; rows hold epoch, rate, loss, metric, valid_loss, valid_metric and seconds. A "cosine" schedule
        adds a snapshot at the end of each of its cycles that the training reached.

    Raises:
        ValueError: If the training set is empty.
        FloatingPointError: If a loss is no longer a finite number, with the epoch, and the batch if in training.
        DataError: If the checkpoint is that of another training, or is there although ``resume`` is not asked for; if
            an epoch cannot be saved, because the disk is full for one: the files of the epoch before stay whole.

    Example:
        >>> x = paddle.arange(8, dtype="float32").reshape([8, 1])
        >>> line, error = paddle.nn.Linear(1, 1), lambda truth, out: float(abs(truth - out).mean())
        >>> plan = Schedule(epochs=30, batch=4, rate=0.3)
        >>> data, mse = paddle.io.TensorDataset([x, 2 * x]), paddle.nn.functional.mse_loss
        >>> print(fit(line, data, [], loss=mse, metric=error, schedule=plan, seed=0).ended)
        all 30 epochs done, without a validation case, so the last epoch is kept

    Taught in notebook 01.
    """
    if not len(train):
        raise ValueError("there is no training case; give the training set at least one")
    batches, started = -(-len(train) // schedule.batch), time.perf_counter()
    numbers = network.parameters()
    optimizer = paddle.optimizer.AdamW(schedule.rate, parameters=numbers, weight_decay=schedule.weight_decay)
    facts = checkpoints.fingerprint(network, schedule, seed, (len(train), len(valid)), loss, data)
    result, best = Fit(), {}
    if checkpoint is not None and checkpoints.can_resume(checkpoint, resume, weights):
        history, best, snapshots = checkpoints.load(checkpoint, facts, network, optimizer)
        result = Fit(**history, snapshots=snapshots)
        if weights is not None:  # which may be an epoch ahead, or gone
            files.save_weights(weights, best)
        if report is not None:
            report(f"going on after epoch {len(result.rows)} of {schedule.epochs}")
    before, epoch = result.minutes, len(result.rows)
    bar = runtime.progress(range(epoch * batches, schedule.epochs * batches), label="training")
    tick = iter(bar)
    stopping = StopBetweenSteps()
    try:
        while not _ending(result, schedule):
            epoch = len(result.rows)
            stopping.ask()
            row = _train_epoch(network, train, epoch, loss, metric, schedule, seed, optimizer, tick, stopping)
            row["valid_loss"], row["valid_metric"] = evaluate(network, valid, loss, metric, schedule.batch)
            stopping.ask()
            if row["valid_loss"] is not None:
                _check_finite(row["valid_loss"], f"after epoch {epoch + 1}, on the validation set")
            rows = [*result.rows, {"epoch": epoch + 1, **row}]
            lowest = result.rows[result.best_epoch - 1]["valid_loss"] if result.rows else None
            better = lowest is None or row["valid_loss"] < lowest
            reached = deepcopy(arrays(network))
            kept = reached if better else best
            snapshots = result.snapshots + ([reached] if ends_cycle(schedule, epoch + 1) else [])
            steps, minutes = result.steps + batches, before + (time.perf_counter() - started) / 60
            grown = Fit(rows, epoch + 1 if better else result.best_epoch, "", steps, minutes, snapshots=snapshots)
            last_best, result, best = result.best_epoch, grown, kept  # in one go: Ctrl-C finds all of them or none
            if weights is not None and better:
                _save_epoch(weights, epoch, last_best, checkpoint is not None, files.save_weights, best)
            if checkpoint is not None:
                now = {name: getattr(result, name) for name in ("rows", "best_epoch", "steps", "minutes")}
                what = (facts, now, network, optimizer, best, snapshots)
                _save_epoch(checkpoint, epoch, epoch, True, checkpoints.save, *what)
            if report is not None:
                report(_line(result.rows[-1], schedule.epochs))
        result.ended = _ending(result, schedule)
    except KeyboardInterrupt:
        result.ended, result.by_hand = f"stopped by hand in epoch {epoch + 1}", True
    finally:
        stopping.end()
        bar.total = bar.n  # a training that stopped early is done, not broken off in red
        bar.close()
        if best:
            set_arrays(network, best)
    if result.rows and not len(valid):
        result.ended += ", without a validation case, so the last epoch is kept"
    result.minutes = before + (time.perf_counter() - started) / 60
    return result


def _ending(result: Fit, schedule: Schedule) -> str:
    """Why a training is over; nothing while it is not."""
    if len(result.rows) - result.best_epoch >= schedule.patience:
        return f"stopped after {schedule.patience} epochs without a lower validation loss"
    return f"all {schedule.epochs} epochs done" if len(result.rows) >= schedule.epochs else ""


def _save_epoch(path: str | Path, epoch: int, kept: int, resume: bool, save: Callable, *what) -> None:
    try:
        save(path, *what)
    except OSError as error:
        raise checkpoints.unwritten(path, error, epoch + 1, kept, resume) from None


def _train_epoch(network, train, epoch, loss, metric, schedule, seed, optimizer, tick, stopping) -> dict:
    """One pass over the training set; loss and metric are those seen on the way, over cases."""
    started = time.perf_counter()
    network.train()
    paddle.seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0]))  # for dropout
    train.epoch = epoch
    order = np.random.default_rng([seed, epoch]).permutation(len(train))
    batches = -(-len(train) // schedule.batch)
    outputs, targets, total = [], [], 0.0
    for number, (inputs, target) in enumerate(_batches(train, order, schedule.batch)):
        optimizer.set_lr(learning_rate(schedule, epoch, number / batches))
        output = network(inputs)
        value = loss(output, target)
        _check_finite(value.item(), f"in epoch {epoch + 1}, batch {number + 1}")
        value.backward()
        optimizer.step()
        optimizer.clear_grad()
        total += value.item() * len(target)
        outputs.append(output.numpy())
        targets.append(target.numpy())
        next(tick, None)
        stopping.ask()
    row = {
        "rate": float(optimizer.get_lr()),
        "loss": total / len(train),
        "metric": metric(np.concatenate(targets), np.concatenate(outputs)),
        "seconds": time.perf_counter() - started,
    }
    stopping.ask()
    return row


def predict(network: paddle.nn.Layer, samples: paddle.io.Dataset, batch: int = 16) -> np.ndarray:
    """The network's outputs for every case of a set, in its order, with dropout off and no gradients.

    Returns:
        ``float32`` [cases, ...].

    Example:
        >>> double = paddle.io.TensorDataset([paddle.arange(3.0), 2 * paddle.arange(3.0)])
        >>> predict(paddle.nn.Identity(), double)
        array([0., 1., 2.], dtype=float32)

    Taught in notebook 01.
    """
    return _ask(network, samples, batch)[0] if len(samples) else np.zeros((0, 1), np.float32)


def evaluate(
    network: paddle.nn.Layer, samples: paddle.io.Dataset, loss: Loss, metric: Metric, batch: int
) -> tuple[float | None, float | None]:
    """Loss and metric over all cases of a set; (None, None) for an empty one.

    Both are computed once from all cases: a mean of batch means would weigh the cases of a short last batch more.

    Example:
        >>> double = paddle.io.TensorDataset([paddle.arange(3.0), 2 * paddle.arange(3.0)])
        >>> l1, worst = paddle.nn.functional.l1_loss, lambda truth, output: float(abs(truth - output).max())
        >>> evaluate(paddle.nn.Identity(), double, l1, worst, batch=2)
        (1.0, 2.0)

    Taught in notebook 01.
    """
    if not len(samples):
        return None, None
    outputs, targets = _ask(network, samples, batch)
    return loss(paddle.to_tensor(outputs), paddle.to_tensor(targets)).item(), metric(targets, outputs)


def save(path: str | Path, network: paddle.nn.Layer, about: Mapping[str, Any] | None = None) -> Path:
    """Save a network's weights as safetensors, with what else must be known to use them.

    Taught in notebook 01.
    """
    return files.save_weights(path, arrays(network), about)


def load(path: str | Path, network: paddle.nn.Layer) -> None:
    """Put saved weights into a network of the same build.

    Raises:
        DataError: If the file is no safetensors, or was saved from a network of another build or in another precision.

    Example:
        >>> import tempfile
        >>> one, other = paddle.nn.Linear(2, 1), paddle.nn.Linear(2, 1)
        >>> load(save(f"{tempfile.mkdtemp()}/weights.safetensors", one), other)
        >>> bool((one.weight == other.weight).all())
        True

    Taught in notebook 01.
    """
    saved = files.load_weights(path)
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: array.shape for name, array in saved.items()}
    if wanted != found:
        odd = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))[0]
        fault = f"its {odd} is {found.get(odd, 'missing')}, where this network has {wanted.get(odd, 'nothing')}"
        raise DataError(path, fault, "build the network with the width it was trained with")
    for name, array in arrays(network).items():
        if array.dtype != saved[name].dtype:
            fault = f"its {name} is {saved[name].dtype}, where this network has {array.dtype}"
            raise DataError(path, fault, f"save it as {array.dtype}")
    set_arrays(network, saved)


def _ask(network, samples, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Outputs and targets of every case of a set, in its order, each case read once."""
    network.eval()
    outputs, targets = [], []
    with paddle.no_grad():
        for inputs, target in _batches(samples, np.arange(len(samples)), batch):
            outputs.append(network(inputs).numpy())
            targets.append(target.numpy())
    return np.concatenate(outputs), np.concatenate(targets)


def _check_finite(value: float, when: str) -> None:
    if not np.isfinite(value):
        raise FloatingPointError(f"the loss is {value} {when}; lower the learning rate, or look for NaN in the data")


def _batches(samples, order: np.ndarray, size: int) -> Iterator[tuple[paddle.Tensor, paddle.Tensor]]:
    # As even as can be: what BatchNorm measures on a last batch of one or two cases is noise.
    groups = [group.tolist() for group in np.array_split(order, -(-len(order) // size))]
    return iter(paddle.io.DataLoader(samples, batch_sampler=groups, num_workers=0))


def _line(row: dict, epochs: int) -> str:
    parts = [f"epoch {row['epoch']:>3}/{epochs}"]
    for name in ("loss", "metric", "valid_loss", "valid_metric"):
        if row[name] is not None:
            parts.append(f"{name.replace('_', ' ')} {row[name]:.3f}")
    return "  ".join([*parts, f"{row['seconds']:.1f} s"])
