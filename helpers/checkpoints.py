"""A training that can be broken off at any moment and gone on with, to the last bit: one safetensors file an epoch.

Used by `training.fit` and, as `--resume`, by `python -m helpers.train`.
"""

import errno
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import safetensors
from safetensors.numpy import save as to_bytes

from helpers import files
from helpers.files import DataError
from helpers.schedules import Schedule

VERSION = 1
Arrays = dict[str, np.ndarray]
# Paddle names them after the parameter and a counter, as in linear_3.w_0_moment1_0.
MOMENT = re.compile(r"(.+)_(moment1|moment2|beta1_pow_acc|beta2_pow_acc)_\d+")


def fingerprint(
    network: paddle.nn.Layer, schedule: Schedule, seed: int, cases: tuple[int, int], loss: Callable, data: str = ""
) -> dict[str, Any]:
    """What two trainings must have in common for one to go on where the other stopped.

    Args:
        network: Its layers' names, shapes and precision count; its weights do not.
        schedule: All of it, so that the learning rate follows one curve.
        seed: Of the training.
        cases: How many train and how many validate.
        loss: Its name counts.
        data: A hash of the data and their split, if there is one.

    Example:
        >>> found = fingerprint(paddle.nn.Linear(2, 1), Schedule(5, 2, 0.1), 7, (20, 4), paddle.nn.functional.l1_loss)
        >>> found["epochs"], found["seed"], found["training cases"], found["loss"], found["weight"]
        (5, 7, 20, 'l1_loss', 'float32 [2, 1]')

    Used by `training.fit`, which notebook 01 teaches.
    """
    facts = asdict(schedule) | {"seed": seed, "training cases": cases[0], "validation cases": cases[1]}
    facts |= {"loss": getattr(loss, "__name__", type(loss).__name__), "data": data}
    return facts | {name: f"{array.dtype} {list(array.shape)}" for name, array in arrays(network).items()}


def save(
    path: str | Path,
    facts: Mapping[str, Any],
    history: Mapping[str, Any],
    network: paddle.nn.Layer,
    optimizer: paddle.optimizer.Optimizer,
    best: Mapping[str, np.ndarray],
    snapshots: Sequence[Mapping[str, np.ndarray]] = (),
) -> Path:
    """Write a checkpoint: all that a training knows at the end of an epoch, in one file, whole or not at all.

    Numbers and history lie in the same file, so that they never belong to different epochs. The learning rate is not
    among them: it is a function of time alone.

    Args:
        path: The file; an older checkpoint of that name is replaced in one moment.
        facts: From `fingerprint`.
        history: ``rows`` (one an epoch), ``best_epoch``, and what else `load` shall give back; numbers and lists.
        network: Its weights of now.
        optimizer: Its moments of now.
        best: The weights of the best epoch, from `arrays`.
        snapshots: The weights at the end of each cycle so far, from `arrays`.

    Raises:
        OSError: If the disk is full or the folder cannot be written; an older checkpoint stays as it was.

    Used by `training.fit`, which notebook 01 teaches.
    """
    parts = {f"network/{name}": array for name, array in arrays(network).items()}
    parts |= {name: tensor.numpy() for name, tensor in _moments(network, optimizer).items()}
    if history["best_epoch"] < len(history["rows"]):  # else they are the network's own
        parts |= {f"best/{name}": array for name, array in best.items()}
    for number, weights in enumerate(snapshots):
        parts |= {f"snapshot {number}/{name}": array for name, array in weights.items()}
    note = {"version": VERSION, "training": facts, "history": history}
    # One entry alone, because safetensors does not keep the order of several.
    content = to_bytes(
        {name: np.ascontiguousarray(part) for name, part in parts.items()},
        metadata={"checkpoint": json.dumps(note, default=float)},
    )
    return files.write_atomic(path, lambda file: file.write(content))


def load(
    path: str | Path, facts: Mapping[str, Any], network: paddle.nn.Layer, optimizer: paddle.optimizer.Optimizer
) -> tuple[dict[str, Any], Arrays, list[Arrays]]:
    """Put network and optimizer back as they were when a checkpoint was written.

    Args:
        path: What `save` wrote.
        facts: From `fingerprint`, of the training that is to go on.
        network: Changed in place.
        optimizer: A fresh AdamW over the network's parameters, changed in place.

    Returns:
        The history, the weights of the best epoch, and the snapshots.

    Raises:
        DataError: If the file is no whole checkpoint, or one of another training; network and optimizer stay as they
            were.

    Used by `training.fit`, which notebook 01 teaches.
    """
    note = _read_note(path)
    for name in [*facts, *note["training"]]:
        here, there = facts.get(name, "missing"), note["training"].get(name, "missing")
        if here != there:
            fault = f"it belongs to another training: {name} is {_short(there)} there and {_short(here)} here"
            raise DataError(path, fault, "train with the same settings, or delete it to start anew")
    parts: dict[str, Arrays] = {}
    for name, array in files.load_weights(path).items():
        kind, _, place = name.partition("/")
        parts.setdefault(kind, {})[place] = array
    weights, best = parts.pop("network"), parts.pop("best", None)
    count = sum(kind.startswith("snapshot") for kind in parts)
    snapshots = [parts.pop(f"snapshot {number}") for number in range(count)]
    _set_moments(network, optimizer, parts)
    set_arrays(network, weights)
    return note["history"], weights if best is None else best, snapshots


def can_resume(path: str | Path, resume: bool, weights: str | Path | None = None) -> bool:
    """Whether there is a checkpoint to go on from; what writings that were cut short left beside it is removed.

    Args:
        path: Where a checkpoint may be.
        resume: Whether going on is wanted.
        weights: The file of the best weights, if there is one; half of it may have been left behind as well.

    Raises:
        DataError: If there is a checkpoint and going on is not wanted: starting anew would overwrite it, and with it
            perhaps hours of training.

    Used by `training.fit`, which notebook 01 teaches.
    """
    path = Path(path)
    for place in (path, Path(weights or path)):
        for part in place.parent.glob(f"{place.name}.*.part"):
            part.unlink(missing_ok=True)
    if path.exists() and not resume:
        remedy = "go on with --resume (in Python: resume=True), or delete it to start anew"
        raise DataError(path, "it is the checkpoint of a training that was not finished", remedy)
    return path.exists()


def unwritten(path: str | Path, error: OSError, epoch: int, kept: int, resume: bool = True) -> DataError:
    """The sentence for an epoch that could not be saved.

    Args:
        path: The file that could not be written.
        error: Why.
        epoch: Which epoch it would have held, from 1.
        kept: The epoch that the file still holds, 0 if there is no file yet.
        resume: Whether the training writes checkpoints, from which it could go on.

    Example:
        >>> print(unwritten("run/last.safetensors", OSError(errno.ENOSPC, "No space left on device"), 5, 4))
        run/last.safetensors: epoch 5 cannot be saved because the disk is full, but what epoch 4 left there is whole; \
make room, then go on with --resume (in Python: resume=True).

    Used by `training.fit`, which notebook 01 teaches.
    """
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    why = "because the disk is full" if full else f"({error.strerror})"
    stays = f"but what epoch {kept} left there is whole" if kept else "and there is no earlier one"
    remedy = "make room" if full else "check the disk and the permissions"
    then = "then go on with --resume (in Python: resume=True)" if kept and resume else "then train again"
    return DataError(path, f"epoch {epoch} cannot be saved {why}, {stays}", f"{remedy}, {then}")


def arrays(network: paddle.nn.Layer) -> Arrays:
    """A network's numbers by name, measured ones (as of BatchNorm) among them.

    Example:
        >>> {name: array.shape for name, array in arrays(paddle.nn.Linear(3, 2)).items()}
        {'weight': (3, 2), 'bias': (2,)}

    Used by `training.fit`, which notebook 01 teaches.
    """
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def set_arrays(network: paddle.nn.Layer, values: Mapping[str, np.ndarray]) -> None:
    """Put back what `arrays` gave.

    Used by `training.fit`, which notebook 01 teaches.
    """
    network.set_state_dict({name: paddle.to_tensor(array) for name, array in values.items()})


def _read_note(path: str | Path) -> dict[str, Any]:
    try:
        with safetensors.safe_open(path, framework="np") as file:
            note = json.loads((file.metadata() or {})["checkpoint"])
        version = note["version"]
    except (safetensors.SafetensorError, OSError) as error:
        raise DataError(path, f"it is not a whole checkpoint ({error})", "delete it to start anew") from None
    except (KeyError, TypeError, ValueError):
        raise DataError(
            path, "it is not a checkpoint", "name the file that a training with a checkpoint left"
        ) from None
    if version != VERSION:
        fault = f"it is a checkpoint of version {version}, and this course goes on from version {VERSION}"
        raise DataError(path, fault, "delete it to start anew")
    return note


def _moments(network: paddle.nn.Layer, optimizer: paddle.optimizer.Optimizer) -> dict[str, paddle.Tensor]:
    """The optimizer's tensors under the network's own names, which, unlike Paddle's, are the same in every process."""
    places = {parameter.name: place for place, parameter in network.named_parameters()}
    found = {}
    for name, tensor in optimizer.state_dict().items():
        parameter, kind = MOMENT.fullmatch(name).groups()
        found[f"{kind}/{places[parameter]}"] = tensor
    return found


def _set_moments(network: paddle.nn.Layer, optimizer: paddle.optimizer.Optimizer, values: dict[str, Arrays]) -> None:
    # Paddle makes the moments of a parameter in its first step, so it is given one, of length 0.
    parameters = dict(network.named_parameters())
    paddle.add_n([(parameters[place] * 0).sum() for place in values["moment1"]]).backward()
    optimizer.set_lr(0.0)
    optimizer.step()
    optimizer.clear_grad()
    for name, tensor in _moments(network, optimizer).items():
        kind, _, place = name.partition("/")
        tensor.set_value(values[kind][place])


def _short(value: Any) -> str:
    return f"{value[:12]}…" if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) else str(value)
