"""Files: nothing half written, nothing unpickled, and one sentence for whatever cannot be used."""

import json
import struct
import zipfile
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import one_sentence

from helpers import files
from helpers.files import DataError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def refusal(read, path) -> DataError:
    with pytest.raises(DataError) as caught:
        read(path)
    one_sentence(str(caught.value))
    assert str(caught.value).startswith(path.as_posix())
    assert str(caught.value).endswith(f"; {caught.value.remedy}.")
    return caught.value


def test_data_error_comes_whole_out_of_another_process():
    error = DataError("scans/a.nii.gz", "it is cut short", "copy it again")
    back = ForkingPickler.loads(ForkingPickler.dumps(error))
    assert str(back) == str(error) == "scans/a.nii.gz: it is cut short; copy it again."
    assert (type(back), back.path, back.fault, back.remedy) == (DataError, error.path, error.fault, error.remedy)


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, fault):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def half(file):
        file.write(b"new, but only ha")
        raise fault

    with pytest.raises(type(fault)):
        files.write_atomic(path, half)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.bin"]


def test_a_write_shows_nothing_before_it_is_whole_and_others_may_read_it(tmp_path):
    path = tmp_path / "new" / "deeper" / "a.bin"

    def write(file):
        file.write(b"whole")
        assert not path.exists()

    assert files.write_atomic(path, write) == path
    assert path.read_bytes() == b"whole"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [file.name for file in path.parent.iterdir()] == ["a.bin"]


@settings(max_examples=40)
@given(value=JSON)
def test_json_comes_back_as_it_was(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.json"
    assert files.read_json(files.write_json(path, value)) == value
    assert path.read_bytes().endswith(b"\n")


@pytest.mark.parametrize("value", [float("nan"), [1.0, float("inf")]])
def test_json_refuses_what_other_readers_cannot_read(tmp_path, value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b'{"auc": 0.9', b"auc: 0.9", b"\xff\xfe\x00", b"[" * 200_000])
def test_json_that_is_none_is_refused(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    error = refusal(files.read_json, path)
    assert "not whole JSON" in error.fault
    assert "make it again" in error.remedy


@pytest.mark.parametrize(
    "read", [files.read_json, files.load_weights, files.read_about, files.hash_file, files.read_npz]
)
def test_what_is_missing_or_a_folder_is_refused(tmp_path, read):
    refusal(read, tmp_path / "nowhere")
    refusal(read, tmp_path)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "uint8", "bool"])
def test_weights_come_back_bit_for_bit_whatever_their_order_in_memory(tmp_path, dtype):
    array = (np.random.default_rng(3).normal(size=(4, 3, 5)) * 50).astype(dtype)
    arrays = {"plain": array, "turned": array.transpose(2, 0, 1), "thinned": array[::2, ::-1], "empty": array[:0]}
    if dtype.startswith("float"):
        arrays["odd"] = np.array([np.nan, np.inf, -0.0], dtype)
    back = files.load_weights(files.save_weights(tmp_path / "w.safetensors", arrays))
    assert back.keys() == arrays.keys()
    for name, wanted in arrays.items():
        assert back[name].dtype == wanted.dtype
        assert back[name].shape == wanted.shape
        assert back[name].tobytes() == wanted.tobytes()


def test_weights_that_are_a_pickle_are_refused_unread(tmp_path):
    marker = tmp_path / "ran"
    # What a pickle does that calls a function: here it would make a file.
    program = f"cos\nsystem\n(S'touch {marker.as_posix()}'\ntR.".encode()
    path = tmp_path / "w.safetensors"
    path.write_bytes(program)
    error = refusal(files.load_weights, path)
    assert "not a safetensors file" in error.fault
    assert not marker.exists()


def safetensors_bytes(dtype: str, size: int) -> bytes:
    header = json.dumps({"a": {"dtype": dtype, "shape": [4], "data_offsets": [0, 4 * size]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4 * size)


@pytest.mark.parametrize(("dtype", "size"), [("BF16", 2), ("F8_E4M3", 1)])
def test_weights_of_a_kind_that_numpy_lacks_are_refused(tmp_path, dtype, size):
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors_bytes("F32", 4))
    assert files.load_weights(path)["a"].tolist() == [0, 0, 0, 0]  # so it is the kind that is refused, not the frame
    path.write_bytes(safetensors_bytes(dtype, size))
    assert "float32" in refusal(files.load_weights, path).remedy


ABOUT = {"task": "l3", "run": "quick", "threshold": 0.1 + 0.2, "classes": ["with L3", "ohne"], "nested": {"a": [None]}}


def test_what_is_known_of_weights_comes_back_and_changes_no_number(tmp_path):
    arrays = {name: np.random.default_rng(4).random(7) for name in ("b", "a")}
    path = files.save_weights(tmp_path / "w.safetensors", arrays, ABOUT)
    assert files.read_about(path) == ABOUT
    assert files.read_about(path)["threshold"] == 0.1 + 0.2  # to the last bit
    back = files.load_weights(path)
    assert all(np.array_equal(back[name], arrays[name]) for name in arrays)
    again = files.save_weights(tmp_path / "again.safetensors", arrays, ABOUT)
    assert again.read_bytes() == path.read_bytes()  # one seed, one file
    for nothing in (None, {}):
        assert files.read_about(files.save_weights(tmp_path / "plain.safetensors", arrays, nothing)) == {}


def with_note(text: str) -> bytes:
    header = {"__metadata__": {"about": text}, "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    packed = json.dumps(header).encode()
    return struct.pack("<Q", len(packed)) + packed + bytes(4)


def test_a_note_on_weights_that_is_no_note_is_refused_or_empty(tmp_path):
    path = tmp_path / "w.safetensors"
    for text in ("[1, 2]", "3", "null", '"ct"'):
        path.write_bytes(with_note(text))
        assert files.read_about(path) == {}
    for text in ("{", "", "[" * 200_000):
        path.write_bytes(with_note(text))
        refusal(files.read_about, path)
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    refusal(files.read_about, path)


@pytest.mark.parametrize("keep", [0, 5, 30, -1])
def test_weights_cut_short_are_refused(tmp_path, keep):
    path = files.save_weights(tmp_path / "w.safetensors", {"a": np.ones(100, "float32")})
    path.write_bytes(path.read_bytes()[:keep])
    refusal(files.load_weights, path)


def test_hashes_are_sha256_of_content_alone(tmp_path):
    assert files.hash_bytes(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.hash_bytes(b"a", b"", b"bc") == files.hash_bytes(b"abc")
    content = np.random.default_rng(0).bytes(3_000_000)
    (tmp_path / "one").write_bytes(content)
    (tmp_path / "two").write_bytes(content)
    assert files.hash_file(tmp_path / "one") == files.hash_file(tmp_path / "two") == files.hash_bytes(content)
    (tmp_path / "two").write_bytes(content[:-1])
    assert files.hash_file(tmp_path / "two") != files.hash_bytes(content)


def test_an_npz_comes_back_as_it_was(tmp_path):
    arrays = {
        "images": np.array([np.ones((3, 4), np.int16), np.ones((5, 2), np.int16)], dtype=object),
        "ydata": np.array({"A": np.array([1, 2]), "B": [1.5, 2.0]}),
        "names": np.array(["x", "y"]),
        "spacings": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "num": np.array(2),
        "none": np.empty((0, 3), ">f4"),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays)
        back = files.read_npz(tmp_path / "a.npz")
        assert list(back) == list(arrays)
        with np.load(tmp_path / "a.npz", allow_pickle=True) as truth:
            for name in arrays:
                assert (back[name].dtype, back[name].shape) == (truth[name].dtype, truth[name].shape)
                assert str(back[name].tolist()) == str(truth[name].tolist())


def test_an_npz_that_is_damaged_is_refused_wherever_the_damage_is(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, a=np.arange(5.0), b=np.array([[1], "x"], dtype=object))
    whole = path.read_bytes()
    refused = 0
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:  # dates and the like may be damaged without harm
            back = files.read_npz(path)
        except DataError as error:
            one_sentence(str(error))
            refused += 1
        else:
            # A zip file has no checksum over its list of members: one may be missing or renamed, never changed.
            assert all(array.tolist() in ([0, 1, 2, 3, 4], [[1], "x"]) for array in back.values())
    assert refused > len(whole) / 9
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        refusal(files.read_npz, path)


def test_an_npz_that_would_fill_the_memory_is_refused_before_it_is_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.zeros(1 << 20, np.uint8))
    assert path.stat().st_size < 4096
    monkeypatch.setattr(files, "LARGEST_NPZ", 1 << 20)
    assert "GiB" in refusal(files.read_npz, path).fault


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("header", ["{'descr': '<f8', 'fortran_order': False, 'shape': (1,)}"])
def test_an_npz_packed_by_other_means_is_refused(tmp_path, kind, header):
    text = (header + " " * (118 - len(header) - 1) + "\n").encode()
    npy = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(8)
    for method in (kind, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as archive:
            archive.writestr("a.npy", npy)
        if method == kind:
            refusal(files.read_npz, tmp_path / "a.npz")
    assert files.read_npz(tmp_path / "a.npz")["a"].tolist() == [0]


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': 'O', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': [('a', 'O')], 'fortran_order': False, 'shape': (1,)}",
        "{'descr': 'M8[s]', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -1)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "(" * 400,
        "{'descr': '<f8', 'shape': (1,)}",
        "__import__('os').mkdir('mark')",
        "(" * 9000,
        "\x00",
        "1\n  2\n 3",
    ],
)
def test_an_array_with_a_false_header_is_refused(tmp_path, monkeypatch, header):
    monkeypatch.chdir(tmp_path)
    text = header.encode() + b"\n"
    npy = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(8)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", npy)
    refusal(files.read_npz, tmp_path / "a.npz")
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]
