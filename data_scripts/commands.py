"""What the commands of this package share: whole numbers among their arguments, and one sentence however they end.

Used by `python -m data_scripts.fetch`, `make_phantoms` and `pack`.
"""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from helpers.files import DataError


def at_least(least: int) -> Callable[[str], int]:
    """A type for argparse: whole numbers from ``least`` on.

    Example:
        >>> at_least(1)("50")
        50
    """

    def whole_number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}, but is {text!r}")
        return int(text)

    return whole_number


def finish(work: Callable[[], int], place: Path) -> int:
    """Do the work of a command that goes on where it was broken off; what goes wrong becomes one sentence.

    Args:
        work: Returns the exit code if all goes well.
        place: What an error of the disk is about, if it does not say so itself.

    Returns:
        The exit code: that of the work, 2 after an error, 130 after Ctrl-C, 1 if nobody reads on (``| head -1``).
    """
    try:
        code = work()
        sys.stdout.flush()  # here, where a reader that is gone can be told from a fault
        return code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it flushes at exit
        return 1
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        fault = f"it cannot be read or written ({error.strerror})"
        remedy = "check the disk and the permissions; the same command goes on"
        print(DataError(error.filename or place, fault, remedy), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; what is here is kept, and the same command goes on.", file=sys.stderr)
        return 130
