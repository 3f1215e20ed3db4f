"""What a hand may have done to checksums.json; the rest of it is held against downloads in test_download.py."""

import json

import pytest
from tiny import one_sentence

from data_scripts import checksums
from helpers.files import DataError

WHOLE = {"sha256": "0f" * 32, "bytes": 7, "published": True}


@pytest.mark.parametrize("other", [{"sha256": 5}, {"sha256": None}, {"bytes": "7"}, {"published": "x"}, "x", None])
def test_entries_of_another_kind_are_a_sentence(other, tmp_path):
    path, sums = tmp_path / "CT-0.zip", tmp_path / "checksums.json"
    path.write_bytes(b"archive")
    sums.write_text(json.dumps({path.name: WHOLE}))
    assert checksums.recorded(path) == WHOLE
    sums.write_text(json.dumps({path.name: WHOLE | other if isinstance(other, dict) else other}))
    for ask in (checksums.recorded, checksums.check, lambda path: checksums.record(path, "0f" * 32, 7, False)):
        with pytest.raises(DataError, match="it does not say what files must be; correct or delete it") as fault:
            ask(path)
        one_sentence(str(fault.value))
