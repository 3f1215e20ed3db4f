"""The trust boundary: every byte that comes from outside, and every file that must survive a crash, passes here.

Used by all notebooks, mostly unseen: one exception with a sentence in it, hashes, atomic writes, weights, .npz files.
"""

import hashlib
import json
import math
import os
import struct
import tempfile
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import safetensors
from safetensors.numpy import load_file, save

from helpers import unpickle

LARGEST_NPZ = 16 << 30  # bytes once unpacked; the published L3 data set takes some 3 GiB
# What damage raises in an archive (RuntimeError: encrypted), in the header of an array, and in the array itself.
NPZ_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, struct.error, MemoryError)
NPZ_FAULTS += (SyntaxError, tokenize.TokenError, ValueError, TypeError, KeyError, OverflowError)


class DataError(ValueError):
    """A file or folder that cannot be used: one sentence with the file, what is wrong, and what to do.

    Args:
        path: The file or folder.
        fault: What is wrong with it, without a full stop.
        remedy: What the reader can do about it, without a full stop.

    Example:
        >>> print(DataError("scans/a.nii.gz", "it ends too early", "copy it again"))
        scans/a.nii.gz: it ends too early; copy it again.

    Taught in notebook 01.
    """

    def __init__(self, path: str | os.PathLike, fault: str, remedy: str):
        self.path, self.fault, self.remedy = Path(path), fault, remedy
        super().__init__(f"{self.path.as_posix()}: {fault}; {remedy}.")

    def __reduce__(self):  # so that it comes back whole from another process
        return type(self), (self.path, self.fault, self.remedy)


def write_atomic(path: str | os.PathLike, write: Callable[[IO[bytes]], object]) -> Path:
    """Write a file so that its name never stands for half of it, whatever happens meanwhile.

    Args:
        path: Where the file shall be; its folder is made if missing.
        write: Called with a binary file open for writing.

    Returns:
        The path.

    Raises:
        OSError: If the disk is full or the folder cannot be written; an older file of that name stays as it was.

    Example:
        >>> folder = tempfile.mkdtemp()
        >>> write_atomic(f"{folder}/a.txt", lambda file: file.write(b"whole")).read_bytes()
        b'whole'

    Used by every notebook that saves something.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(part, 0o644)  # mkstemp makes files that only their owner can read
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
    return path


def write_json(path: str | os.PathLike, value: Any) -> Path:
    """Write JSON that is readable, sorted as given, and never half there.

    Example:
        >>> write_json(f"{tempfile.mkdtemp()}/a.json", {"auc": 0.9}).read_text()
        '{\\n  "auc": 0.9\\n}\\n'

    Used by every notebook that saves a result.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return write_atomic(path, lambda file: file.write(text.encode("utf8")))


def read_json(path: str | os.PathLike) -> Any:
    """Read JSON.

    Raises:
        DataError: If the file is missing, cut short or no JSON.

    Used by every notebook that reads a result.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf8"))
    except FileNotFoundError:
        raise DataError(path, "there is no such file", "check the name") from None
    except OSError as error:
        raise DataError(path, f"it cannot be read ({error.strerror})", "check the disk and the permissions") from None
    except (ValueError, RecursionError) as error:
        raise DataError(path, f"it is not whole JSON ({error})", "delete it and make it again") from None


def hash_bytes(*parts: bytes) -> str:
    """SHA-256 of some bytes, as 64 hexadecimal digits.

    Example:
        >>> hash_bytes(b"lung")[:8]
        'd08c7b73'

    Used by the splits of every notebook.
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def hash_file(path: str | os.PathLike) -> str:
    """SHA-256 of a file's content, whatever its name and date.

    Raises:
        DataError: If the file cannot be read.

    Used by the splits of every notebook: the same scan falls into the same set on every machine.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(path, f"it cannot be read ({error.strerror})", "check the disk and the permissions") from None


def save_weights(
    path: str | os.PathLike, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any] | None = None
) -> Path:
    """Save named arrays as safetensors, a format that holds numbers and cannot run code.

    Args:
        path: The file.
        arrays: The numbers.
        about: What else must be known to use them, such as a threshold; see `read_about`.

    Example:
        >>> path = save_weights(f"{tempfile.mkdtemp()}/w.safetensors", {"a": np.ones(2, "float32")})
        >>> load_weights(path)["a"]
        array([1., 1.], dtype=float32)

    Taught in notebook 01.
    """
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    notes = {"about": json.dumps(about)} if about else None
    return write_atomic(path, lambda file: file.write(save(whole, notes)))


def load_weights(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Load what `save_weights` saved.

    Raises:
        DataError: If the file is missing, is not safetensors (a pickle, for one, is refused unread), or holds numbers
            that NumPy lacks.

    Taught in notebook 01.
    """
    try:
        return load_file(path)
    except FileNotFoundError:
        raise DataError(path, "there is no such file", "train first, or check the name") from None
    except (TypeError, AttributeError):  # such as bfloat16, for which safetensors finds no NumPy type
        raise DataError(path, "it holds numbers of a kind NumPy does not know", "save them as float32") from None
    except (safetensors.SafetensorError, OSError) as error:
        raise DataError(path, f"it is not a safetensors file ({error})", "save weights with training.save") from None


def read_about(path: str | os.PathLike) -> dict[str, Any]:
    """Read what `save_weights` was told about the numbers; nothing where it was told nothing.

    Raises:
        DataError: If the file is missing, or is not safetensors.

    Example:
        >>> path = save_weights(f"{tempfile.mkdtemp()}/w.safetensors", {"a": np.ones(2, "float32")}, {"task": "ct"})
        >>> read_about(path)
        {'task': 'ct'}

    Used by the command `predict`.
    """
    try:
        with safetensors.safe_open(path, "numpy") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
    except FileNotFoundError:
        raise DataError(path, "there is no such file", "train first, or check the name") from None
    except (safetensors.SafetensorError, OSError, ValueError, RecursionError) as error:
        raise DataError(path, f"it is not a safetensors file ({error})", "save weights with training.save") from None
    return about if isinstance(about, dict) else {}


def read_npz(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Read the arrays of an .npz file, those of Python objects too, without running any code that it brings.

    `numpy.load` reads such arrays only with pickled code allowed, and then runs whatever is in the file.

    Args:
        path: The file, as `numpy.savez` writes it, packed or not.

    Returns:
        The arrays by name: numbers, texts, or objects (arrays, lists, tuples, dicts, numbers, texts).

    Raises:
        DataError: If the file is missing, damaged, no .npz, larger than ``LARGEST_NPZ`` once unpacked, or if it holds
            or asks for anything else. Nothing of it has been run then.

    Example:
        >>> path = f"{tempfile.mkdtemp()}/a.npz"
        >>> np.savez(path, ydata={"A": [12, 30]})
        >>> read_npz(path)["ydata"].item()
        {'A': [12, 30]}

    Taught in notebook 02.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > LARGEST_NPZ:
                raise unpickle.Refused(f"it would unpack to more than {LARGEST_NPZ >> 30} GiB")
            arrays = {}
            for member in members:
                with archive.open(member) as stream:
                    arrays[member.filename.removesuffix(".npy")] = _read_npy(stream, member)
            return arrays
    except FileNotFoundError:
        raise DataError(path, "there is no such file", "check the name") from None
    except unpickle.Refused as refusal:
        remedy = "use a file of numbers, texts, lists and dicts (nothing in this one was run)"
        raise DataError(path, str(refusal), remedy) from None
    except OSError as error:
        raise DataError(path, f"it cannot be read ({error.strerror})", "check the disk and the permissions") from None
    except NPZ_FAULTS:
        raise DataError(path, "it is not a whole .npz file", "copy or download it again") from None


def _read_npy(stream: IO[bytes], member: zipfile.ZipInfo) -> np.ndarray:
    """Read one array of an .npz file; its bytes must end where the archive says, and with the right checksum."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # NumPy writes no others
        raise EOFError
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    shape, fortran, kind = read_header[np.lib.format.read_magic(stream)](stream)
    order = "F" if fortran else "C"
    if kind is np.dtype("O"):
        array = unpickle.load(stream)
    else:
        if kind.kind not in "biufUS" or stream.tell() + math.prod(shape) * kind.itemsize != member.file_size:
            raise EOFError
        array = unpickle.numbers(kind, stream.read(), shape, order)
    if array.shape != shape or stream.read(1):
        raise EOFError
    return array
