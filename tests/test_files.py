"""Files: nothing half written, nothing unpickled, and one sentence for whatever cannot be used."""

import json
import struct
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


@pytest.mark.parametrize("read", [files.read_json, files.load_weights, files.hash_file])
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
