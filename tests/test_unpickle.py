"""Pickles are read like a text: what NumPy writes comes back, and nothing that a file asks for is ever run."""

import contextlib
import io
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays, scalar_dtypes
from tiny import one_sentence

from helpers import files, unpickle
from helpers.files import DataError

PROTOCOLS = (2, 3, 4)  # NumPy has written each of them

NUMBERS = arrays(
    scalar_dtypes().filter(lambda kind: kind.kind in "biufSU" and 0 < kind.itemsize < 100 and kind.str[1:] != "f16"),
    st.lists(st.integers(0, 4), max_size=3).map(tuple),
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | NUMBERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4) | st.tuples(inner, inner),
    max_leaves=10,
)


def same(left, right) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, np.ndarray) and left.dtype != object:
        return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()
    if isinstance(left, (list, tuple, np.ndarray)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    return left == right


def boxed(*things) -> np.ndarray:
    box = np.empty(len(things), object)
    for index, thing in enumerate(things):
        box[index] = thing
    return box


class Call:
    """Pickles as the call of a function, as an attacker would write it."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", PROTOCOLS)
@settings(max_examples=60)
@given(things=st.lists(PLAIN, max_size=4))
def test_what_numpy_pickles_comes_back(protocol, things):
    # A subnormal or byte-swapped number keeps its bytes; one object twice stays one object in the pickle.
    box = boxed(*things, things)
    assert same(unpickle.load(io.BytesIO(pickle.dumps(box, protocol))), box)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_modules_of_old_and_new_numpy_are_known(protocol):
    image = np.asfortranarray(np.arange(12, dtype=">i2").reshape(3, 4))
    box = boxed(image, np.float32(2.5), np.int64(7), np.str_("L3"), image, boxed([1], {}))
    new = pickle.dumps(box, protocol)
    old = new.replace(b"numpy._core.multiarray", b"numpy.core.multiarray").replace(
        b"\x8c\x16numpy.core", b"\x8c\x15numpy.core"
    )
    old = b"".join([old[:2], old[11:]]) if protocol == 4 else old  # without the frame, whose length is another now
    assert old != new
    for dump in (old, new):
        back = unpickle.load(io.BytesIO(dump))
        assert same(back[0], image)
        assert back[4] is back[0]
        assert back[1:4].tolist() == [2.5, 7, "L3"]
        assert back[5].tolist() == [[1], {}]


BURIALS = (lambda x: [x], lambda x: {"A": [boxed(boxed(x))]})


@pytest.mark.parametrize("bury", BURIALS)
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    "attack",
    [
        lambda mark: Call(os.system, f"touch {mark}"),
        lambda mark: Call(eval, f"open({str(mark)!r}, 'w')"),
        lambda mark: Call(exec, f"open({str(mark)!r}, 'w')"),
        lambda mark: Call(Path.touch, mark),
        lambda mark: Call(np.save, str(mark), 1),
        lambda mark: Call(np.load, str(mark)),
        lambda mark: Call(np.memmap, str(mark), "u1", "w+", 0, (1,)),
        lambda mark: Call(np.fromfile, str(mark)),
        lambda mark: Call(bytearray, 1 << 40),
        lambda mark: Call(getattr, [], "append"),
        lambda mark: np.save,
        lambda mark: np.ndarray((2,), dtype=np.dtype([("a", "O")])),
        lambda mark: np.dtype("M8[s]"),
        lambda mark: np.ma.array([1]),
        lambda mark: 1j,
    ],
)
def test_nothing_a_pickle_asks_for_is_run(tmp_path, attack, protocol, bury):
    mark = tmp_path / "mark"
    path = tmp_path / "a.npz"
    box = boxed(bury(attack(mark)))
    dump = pickle.dumps(box, protocol)
    mark.unlink(missing_ok=True)  # np.memmap makes it when built
    with pytest.raises(unpickle.Refused):
        unpickle.load(io.BytesIO(dump))
    np.savez(path, ydata=box, names=np.array(["a"]))
    mark.unlink(missing_ok=True)
    with pytest.raises(DataError, match="nothing in this one was run") as caught:
        files.read_npz(path)
    one_sentence(str(caught.value))
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


def test_the_attack_of_this_test_works_on_numpy(tmp_path):
    """Else the test above could not fail."""
    np.savez(tmp_path / "a.npz", ydata=boxed(Call(os.mkdir, str(tmp_path / "mark"))))
    with np.load(tmp_path / "a.npz", allow_pickle=True) as archive:
        archive["ydata"]
    assert (tmp_path / "mark").is_dir()


ARRAY = pickle.dumps(np.empty(1, object), 2)[2:-1]  # without protocol and end


@pytest.mark.parametrize(
    "dump",
    [
        b"",
        b".",
        b"\x80\x04.",
        b"\x80\x04N.",
        b"\x80\x04(" + b"N" * 9,
        b"\x80\x04]h\x00.",  # a memo that was never filled
        b"\x80\x04\x85\x85.",
        b"\x80\x04(a.",
        b"\x80\x04}]Ns.",  # a list as a key
        b"\x80\x04}N\x85Ns.",  # a tuple as a key: hashing a deep one would overflow the stack
        b"\x80\x04" + b"C\xff" + b"short",
        b"\x80\x04" + b"\x8e" + struct.pack("<Q", 1 << 62) + b"x",  # more bytes than any memory
        b"\x80\x04\x96" + struct.pack("<Q", 1 << 40) + b".",  # BYTEARRAY8
        b"\x80\x04\x8a\xff" + b"\x7f" * 255 + b".",
        b"\x80\x04Pname\n.",  # persistent id
        b"\x80\x04\x82\x01.",  # extension registry
        b"\x80\x04\x97.",  # out-of-band buffer
        b"\x80\x04(i__main__\nx\n.",
        b"\x80\x02cnumpy\nndarray\n}b.",  # the state of a class
        b"\x80\x02cnumpy\nndarray\n.",
        b"\x80\x02cnumpy\ndtype\n)\x81.",
        b"\x80\x02" + ARRAY[:-1] + b".",  # an array that is never filled
        b"\x80\x02" + ARRAY + ARRAY + b".",
    ],
)
def test_damage_is_told_apart_from_nothing(dump):
    with pytest.raises(ValueError):  # noqa: PT011 - the words are asserted where a reader sees them
        unpickle.load(io.BytesIO(dump))


def test_an_array_cannot_hold_itself():
    box = np.empty(1, object)
    box[0] = box
    with pytest.raises(unpickle.Refused, match="inside itself"):
        unpickle.load(io.BytesIO(pickle.dumps(box, 4)))


def test_a_pickle_of_endless_parts_is_refused(monkeypatch):
    monkeypatch.setattr(unpickle, "MOST_STEPS", 1000)
    with pytest.raises(unpickle.Refused, match="more parts"):
        unpickle.load(io.BytesIO(pickle.dumps(boxed(*[[] for _ in range(1000)]), 4)))


@pytest.mark.parametrize(
    "state", [(1, (3,), "<f8", b"x" * 16), (1, (2,), "<f8", b"x" * 17), (1, (-2, -1), "<f8", b"x" * 16)]
)
def test_bytes_that_do_not_fit_the_shape_are_refused(state):
    with pytest.raises(ValueError, match=r"size|buffer"):
        unpickle.numbers(np.dtype(state[2]), state[3], state[1])


def test_bytes_never_become_pointers():
    """NumPy takes an object array's bytes from a pickle whose number type lies about itself, and crashes."""
    with pytest.raises(ValueError, match="OBJECT"):
        unpickle.numbers(np.dtype("O"), b"x" * 8, (1,))


@settings(max_examples=300)
@given(st.data())
def test_no_damage_gets_past(data):
    dump = bytearray(
        pickle.dumps(boxed(np.arange(4.0), {"A": [1, 2]}, "x", np.array(["ab"])), data.draw(st.sampled_from(PROTOCOLS)))
    )
    for _ in range(data.draw(st.integers(1, 4))):
        dump[data.draw(st.integers(0, len(dump) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueError):
        assert isinstance(unpickle.load(io.BytesIO(bytes(dump))), np.ndarray)
