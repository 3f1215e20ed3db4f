"""One training loop for every job: batches, epochs, validation, the best epoch, weights.

Used by every notebook and by `python -m helpers.train`. The device is a property of the run, never of this code.
"""

import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import paddle

from helpers import files, runtime
from helpers.files import DataError
from helpers.schedules import Schedule, learning_rate

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

    @property
    def seconds_per_step(self) -> float | None:
        """Mean time of a training step, validation left out."""
        return sum(row["seconds"] for row in self.rows) / self.steps if self.steps else None

    def __str__(self) -> str:
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
) -> Fit:
    """Train a network and leave it with the weights of its best epoch.

    Early stopping and the kept epoch watch one and the same figure: the loss on the validation set. Where there is
    no validation case, the last epoch is kept and `Fit.ended` says so. Order, variation and dropout are drawn from
    (seed, epoch), so that the same seed gives the same run.

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

    Returns:
        The history; rows hold epoch, rate, loss, metric, valid_loss, valid_metric and seconds.

    Raises:
        ValueError: If the training set is empty.
        FloatingPointError: If a loss is no longer a finite number, with the epoch, and the batch if in training.

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
    batches = -(-len(train) // schedule.batch)
    numbers = network.parameters()
    optimizer = paddle.optimizer.AdamW(schedule.rate, parameters=numbers, weight_decay=schedule.weight_decay)
    result, best, started = Fit(), (np.inf, None), time.perf_counter()
    bar = runtime.progress(range(schedule.epochs * batches), label="training")
    tick = iter(bar)
    for epoch in range(schedule.epochs):
        row = _train_epoch(network, train, epoch, loss, metric, schedule, seed, optimizer, tick)
        row["valid_loss"], row["valid_metric"] = evaluate(network, valid, loss, metric, schedule.batch)
        if row["valid_loss"] is not None:
            _check_finite(row["valid_loss"], f"after epoch {epoch + 1}, on the validation set")
        result.rows.append({"epoch": epoch + 1, **row})
        result.steps += batches
        watched = -epoch if row["valid_loss"] is None else row["valid_loss"]
        if watched < best[0]:
            best = (watched, deepcopy(_arrays(network)))
            result.best_epoch = epoch + 1
            if weights is not None:
                files.save_weights(weights, best[1])
        if report is not None:
            report(_line(result.rows[-1], schedule.epochs))
        if epoch + 1 - result.best_epoch >= schedule.patience:
            result.ended = f"stopped after {schedule.patience} epochs without a lower validation loss"
            break
    else:
        result.ended = f"all {schedule.epochs} epochs done"
    if not len(valid):
        result.ended += ", without a validation case, so the last epoch is kept"
    bar.total = bar.n  # a training that stopped early is done, not broken off in red
    bar.close()
    _set_arrays(network, best[1])
    result.minutes = (time.perf_counter() - started) / 60
    return result


def _train_epoch(network, train, epoch, loss, metric, schedule, seed, optimizer, tick) -> dict:
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
    return {
        "rate": float(optimizer.get_lr()),
        "loss": total / len(train),
        "metric": metric(np.concatenate(targets), np.concatenate(outputs)),
        "seconds": time.perf_counter() - started,
    }


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


def save(path: str | Path, network: paddle.nn.Layer) -> Path:
    """Save a network's weights as safetensors.

    Taught in notebook 01.
    """
    return files.save_weights(path, _arrays(network))


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
    arrays = files.load_weights(path)
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: array.shape for name, array in arrays.items()}
    if wanted != found:
        odd = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))[0]
        fault = f"its {odd} is {found.get(odd, 'missing')}, where this network has {wanted.get(odd, 'nothing')}"
        raise DataError(path, fault, "build the network with the width it was trained with")
    for name, array in _arrays(network).items():
        if array.dtype != arrays[name].dtype:
            fault = f"its {name} is {arrays[name].dtype}, where this network has {array.dtype}"
            raise DataError(path, fault, f"save it as {array.dtype}")
    _set_arrays(network, arrays)


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


def _arrays(network: paddle.nn.Layer) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def _set_arrays(network: paddle.nn.Layer, arrays: dict[str, np.ndarray]) -> None:
    network.set_state_dict({name: paddle.to_tensor(array) for name, array in arrays.items()})


def _line(row: dict, epochs: int) -> str:
    parts = [f"epoch {row['epoch']:>3}/{epochs}"]
    for name in ("loss", "metric", "valid_loss", "valid_metric"):
        if row[name] is not None:
            parts.append(f"{name.replace('_', ' ')} {row[name]:.3f}")
    return "  ".join([*parts, f"{row['seconds']:.1f} s"])
