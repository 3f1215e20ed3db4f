"""How the commands end, whatever happens: with an exit code and at most one sentence."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import one_sentence

from data_scripts import commands
from helpers import runtime
from helpers.files import DataError


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), ("50", 50), ("0", None), ("-1", None), ("1.5", None), ("", None)]
)
def test_whole_numbers_from_one_on(text, number):
    if number:
        assert commands.at_least(1)(text) == number
    else:
        with pytest.raises(argparse.ArgumentTypeError, match=f"at least 1, but is '{text}'"):
            commands.at_least(1)(text)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (DataError("a.zip", "it is empty", "get it again"), 2, "a.zip: it is empty; get it again."),
        (OSError(28, "No space left on device"), 2, "root: it cannot be read or written (No space left on device); "),
        (OSError(13, "Permission denied", "a/b.txt"), 2, "a/b.txt: it cannot be read or written (Permission denied); "),
        (KeyboardInterrupt(), 130, "Stopped; what is here is kept, and the same command goes on."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_what_goes_wrong_is_one_sentence(error, code, said, capsys):
    def work():
        raise error

    assert commands.finish(work, Path("root")) == code
    text = capsys.readouterr().err
    one_sentence(text.removesuffix("\n"))
    assert text.startswith(said)


@pytest.mark.parametrize("code", [0, 1])
def test_the_exit_code_is_that_of_the_work(code):
    assert commands.finish(lambda: code, Path("root")) == code


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_has_enough_is_no_fault(lines):
    """As in `fetch --list | head -1`: it is noticed within the work, or only when the last lines leave the buffer."""
    code = "import sys; from pathlib import Path; from data_scripts import commands\n"
    code += f"sys.exit(commands.finish(lambda: print('line\\n' * {lines}) or 0, Path('root')))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", code], cwd=runtime.ROOT, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")
