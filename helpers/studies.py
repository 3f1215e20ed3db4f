"""The results of `make study`: comparisons that are too long for a live cell, read from their passports.

Used by notebooks 02, 04 and 05.
"""

from pathlib import Path

from helpers import passports, records


def study(task: str, folder: str | Path = records.FOLDER, seed: int = 2020) -> str:
    """Set out the committed results of `make study`, or say how to make them.

    Args:
        task: Results whose task is this one, or begins with it and a hyphen; those with a mistake put in are left out.
        folder: Where their passports lie.
        seed: Of the runs that are compared.

    Returns:
        A table, one result a line, and a sentence for each passport that cannot be used; or one sentence.

    Raises:
        DataError: If the folder cannot be read.

    Example:
        >>> study("l3", "no such folder")
        'No study of l3 has been run here: `make study` trains what is compared, and keeps its passports.'

    Taught in notebook 02.
    """
    found, refused = passports.read_all(folder) if Path(folder).is_dir() else ([], [])
    found = [one for one in found if one.seed == seed and records.FLAWED not in one.task]
    found = [one for one in found if one.task == task or one.task.startswith(f"{task}-")]
    if not found:
        missing = (
            f"No study of {task} has been run here: `make study` trains what is compared, and keeps its passports."
        )
        return "\n".join([missing, *refused])
    return "\n".join([passports.table(found), *refused])
