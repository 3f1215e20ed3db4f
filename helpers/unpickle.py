"""NumPy object arrays out of a pickle that is read like a text and never run.

Used by `files.read_npz` and so by notebook 02, whose published data set is such a file. A pickle is a small program;
Python's own reader runs whatever it calls. Here the program is only parsed: a few of its instructions are known (put a
number, a text, a list), its calls are compared with four names of NumPy's, and those too are acted out here.
"""

import math
import pickletools
import re
from typing import IO, Any

import numpy as np

MOST_STEPS = 5_000_000  # each costs some 60 bytes; a data set of 1,000 patients takes 30,000
NUMBERS = re.compile(r"b1|[iu][1248]|f[248]|[SU]\d{1,6}|O8?")
MODULES = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy")
VALUES = {"NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
VALUES |= {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
MARK = object()


class Refused(ValueError):
    """A pickle that holds or asks for anything but plain data; the message says what. Seen in notebook 02."""


class _Name(str):
    """Something that a pickle wants to call: its name, and nothing that could be called."""


class _Unfinished:
    """An array or a number type whose content has not come yet; ``keys`` is where the memo keeps it."""

    def __init__(self, code: str | None = None):
        self.code, self.keys = code, []


def load(stream: IO[bytes]) -> np.ndarray:
    """Read one pickled NumPy array of Python objects, as `numpy.savez` writes it.

    Known are arrays of numbers, texts and objects, lists, tuples, dicts, numbers, texts, bytes, True, False and None.
    Nothing is imported and nothing is called, whatever the bytes say.

    Args:
        stream: A binary file that stands at the first byte of the pickle.

    Returns:
        The array.

    Raises:
        Refused: If the pickle holds anything else.
        ValueError: If it is damaged.

    Example:
        >>> import io, pickle
        >>> load(io.BytesIO(pickle.dumps(np.array([[1, 2], "L3"], dtype=object), protocol=4)))
        array([list([1, 2]), 'L3'], dtype=object)
        >>> load(io.BytesIO(pickle.dumps(print)))
        Traceback (most recent call last):
            ...
        helpers.unpickle.Refused: it asks for builtins.print

    Seen in notebook 02.
    """
    stack, memo = [], {}
    try:
        for step, (opcode, value, _) in enumerate(pickletools.genops(stream)):
            if step == MOST_STEPS:
                raise Refused("it has more parts than any data set")
            if opcode.name == "STOP":
                (result,) = stack
                if not isinstance(result, np.ndarray):
                    raise Refused("it holds no array")
                return result
            _step(opcode.name, value, stack, memo)
    except (IndexError, KeyError, TypeError, OverflowError, RecursionError, UnicodeError) as error:
        raise ValueError("its list of objects is damaged") from error
    raise ValueError("it ends too early")


def _step(name: str, value: Any, stack: list, memo: dict) -> None:
    """Act out one instruction."""
    if name in VALUES:
        stack.append({"NEWTRUE": True, "NEWFALSE": False}.get(name, value))
    elif name == "MARK":
        stack.append(MARK)
    elif name in ("EMPTY_LIST", "EMPTY_DICT"):
        stack.append([] if name == "EMPTY_LIST" else {})
    elif name in TUPLES or name == "TUPLE":
        stack.append(tuple(_pop(stack, TUPLES.get(name))))
    elif name in ("APPEND", "APPENDS"):
        items = _pop(stack, 1 if name == "APPEND" else None)
        _top(stack, list).extend(items)
    elif name in ("SETITEM", "SETITEMS"):
        items = _pop(stack, 2 if name == "SETITEM" else None)
        if not all(type(key) in (str, int, float, bool) for key in items[::2]):
            raise TypeError
        _top(stack, dict).update(zip(items[::2], items[1::2], strict=True))
    elif name in ("MEMOIZE", "BINPUT", "LONG_BINPUT"):
        key = len(memo) if name == "MEMOIZE" else value
        memo[key] = stack[-1]
        if isinstance(stack[-1], _Unfinished):
            stack[-1].keys.append(key)
    elif name in ("BINGET", "LONG_BINGET"):
        if isinstance(memo[value], _Unfinished):
            raise Refused("it holds an array inside itself")
        stack.append(memo[value])
    elif name in ("GLOBAL", "STACK_GLOBAL"):
        stack.append(_Name(".".join(value.split(" ") if name == "GLOBAL" else _pop(stack, 2))))
        _known(stack[-1])
    elif name == "REDUCE":
        called, arguments = _pop(stack, 2)
        stack.append(_call(_known(called), arguments))
    elif name == "BUILD":
        state, unfinished = stack.pop(), stack.pop()
        if not isinstance(unfinished, _Unfinished):
            raise Refused("it sets the inner state of something that is no array")
        stack.append(_array(*state) if unfinished.code is None else _number_type(unfinished.code, *state))
        memo.update(dict.fromkeys(unfinished.keys, stack[-1]))
    elif name not in ("PROTO", "FRAME"):
        raise Refused(f"it asks for {name}, which no list of numbers and texts needs")


def _pop(stack: list, count: int | None) -> list:
    """Take so many finished values off the stack, or all down to the last mark."""
    start = len(stack) - count if count is not None else len(stack)
    while count is None and stack[start - 1] is not MARK:
        start -= 1
    items = stack[start:]
    if start < 0 or any(item is MARK or isinstance(item, _Unfinished) for item in items):
        raise IndexError
    del stack[start - (count is None) :]
    return items


def _top(stack: list, kind: type) -> Any:
    if type(stack[-1]) is not kind:
        raise TypeError
    return stack[-1]


def _known(name: Any) -> str:
    """The bare name of one of the callables that arrays are pickled with."""
    if type(name) is _Name:
        module, _, attribute = name.rpartition(".")
        if module in MODULES[:2] and attribute in ("_reconstruct", "scalar"):
            return attribute
        if name in ("numpy.ndarray", "numpy.dtype"):
            return attribute
        if name in ("_codecs.encode", "__builtin__.bytes", "builtins.bytes"):  # how protocol 2 writes bytes
            return attribute
        raise Refused(f"it asks for {str(name)[:60]}")
    raise TypeError


def _call(name: str, arguments: tuple) -> Any:
    """What NumPy's own pickles call, acted out."""
    if name == "_reconstruct" and arguments[0] == "numpy.ndarray" and type(arguments[0]) is _Name:
        return _Unfinished()
    if name == "dtype" and NUMBERS.fullmatch(arguments[0]):
        return _Unfinished(arguments[0])
    if name == "scalar":
        kind, raw = arguments
        return numbers(kind, raw, ())[()]
    if name == "encode" and arguments[1] in ("latin1", "latin-1"):
        return arguments[0].encode("latin-1")
    if name == "bytes" and arguments == ():
        return b""
    raise Refused("it holds numbers of a kind no data set needs")


def _number_type(code: str, version: int, order: str, subtype: Any, names: Any, fields: Any, *_: Any) -> np.dtype:
    if (subtype, names, fields) != (None, None, None) or order not in ("<", ">", "=", "|"):
        raise Refused("it holds numbers of a kind no data set needs")
    return np.dtype(code.rstrip("8") if code.startswith("O") else order + code)


def _array(version: int, shape: tuple[int, ...], kind: np.dtype, fortran: bool, content: Any) -> np.ndarray:
    if kind is not np.dtype("O"):
        return numbers(kind, content, shape, "F" if fortran else "C")
    if type(content) is not list:
        raise TypeError
    array = np.empty(len(content), object)
    for index, item in enumerate(content):  # one by one: NumPy would look into the lists
        array[index] = item
    return array.reshape(_shape(shape, len(content)), order="F" if fortran else "C")


def numbers(kind: np.dtype, raw: bytes, shape: tuple[int, ...], order: str = "C") -> np.ndarray:
    """Numbers or texts from their bytes.

    Args:
        kind: Type of a number, or of texts of fixed length.
        raw: The bytes, exactly as many as the shape needs.
        shape: Of the result.
        order: "C" if the last axis runs fastest, "F" if the first one does.

    Raises:
        ValueError, TypeError: If these do not fit together.

    Example:
        >>> numbers(np.dtype("<i2"), bytes([1, 0, 2, 0]), (2,))
        array([1, 2], dtype=int16)

    Used by `files.read_npz`, which notebook 02 teaches.
    """
    if not isinstance(kind, np.dtype) or type(raw) is not bytes or kind.itemsize == 0:
        raise TypeError
    flat = np.frombuffer(raw, kind)
    if kind.kind == "U":
        flat.tolist()  # raises where a text holds no text
    return flat.reshape(_shape(shape, len(flat)), order=order).copy()


def _shape(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    if any(type(side) is not int or side < 0 for side in shape) or math.prod(shape) != size:
        raise ValueError("the size of an array is not what its header says")
    return shape
