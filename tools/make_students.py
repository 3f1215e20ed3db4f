"""Make the copies of the notebooks that a teacher hands out, and the teacher's own.

    python tools/make_students.py                make students: into build/students/, the exercises open
    python tools/make_students.py --instructors  make instructors: into build/instructors/, with the usual mistakes

The solution is the source: in notebooks/ it stands in the cell of its exercise, between the lines `# solution` and
`# end of solution`; it sets `answer`, which the checker behind it takes. Whole cells tagged `solution` (remarks on it)
are not for students either.
"""

import argparse
import ast
import copy
import re
import sys
from pathlib import Path

import nbformat

from helpers.estimates import plural
from helpers.exercises import EXERCISES, Exercise

ROOT = Path(__file__).resolve().parents[1]
BEGIN, END = "# solution", "# end of solution"
STUB = "answer = None  # your code here"
TAG = "solution"
CHECKER = re.compile(r"\bexercises\.(check_\w+)\(")
BY_CHECKER = {exercise.check.__name__: exercise for exercise in EXERCISES}


def solution(source: str) -> tuple[str, str, str] | None:
    """Cut the source of an exercise into what is given, its solution, and the checker; None for any other source.

    Raises:
        ValueError: If a marker is missing or out of place, if the solution does not set `answer`, or if it is not
            followed by a checker.
    """
    lines = source.splitlines()
    begins, ends = ([row for row, line in enumerate(lines) if line.strip() == mark] for mark in (BEGIN, END))
    if not begins and not ends:
        if CHECKER.search(source):
            raise ValueError(f"an exercise needs its solution, between the lines {BEGIN!r} and {END!r}")
        return None
    if len(begins) != 1 or len(ends) != 1 or begins[0] > ends[0]:
        found = f"found {plural(len(begins), 'beginning')} and {plural(len(ends), 'end')}"
        raise ValueError(f"a solution stands between one line {BEGIN!r} and one line {END!r} below it, but {found}")
    parts = (lines[: begins[0]], lines[begins[0] + 1 : ends[0]], lines[ends[0] + 1 :])
    given, answer, check = ("\n".join(part) for part in parts)
    targets = [target for node in ast.parse(answer).body if isinstance(node, ast.Assign) for target in node.targets]
    if "answer" not in {target.id for target in targets if isinstance(target, ast.Name)}:
        raise ValueError("a solution must set `answer`, because that is what the student is to find")
    if not CHECKER.search(check):
        raise ValueError("a solution must be followed by its checker, such as exercises.check_density(answer)")
    return given, answer, check


def exercise(check: str) -> Exercise:
    """Find what is known about the exercise whose checker is called in these lines.

    Raises:
        ValueError: If the checker has no entry in `exercises.EXERCISES`.
    """
    name = CHECKER.search(check)[1]
    if name not in BY_CHECKER:
        raise ValueError(f"{name} has no entry in exercises.EXERCISES, where its typical wrong answers belong")
    return BY_CHECKER[name]


def for_students(nb: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Copy a notebook, its exercises open: without solutions, nor the outputs that give them away.

    Raises:
        ValueError: As in `solution`.
    """
    nb = copy.deepcopy(nb)
    nb.cells = [cell for cell in nb.cells if TAG not in cell.metadata.get("tags", [])]
    for cell in code_cells(nb):
        if parts := solution(cell.source):
            given, _, check = parts
            cell.source = "\n".join(filter(None, [given, STUB, check]))
            cell.outputs, cell.execution_count = [], None
    return nb


def for_instructors(nb: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Copy a notebook whole, and add to each exercise its typical wrong answers and the hints that they get.

    Raises:
        ValueError: As in `solution` and `exercise`.
    """
    nb = copy.deepcopy(nb)
    for cell in code_cells(nb):
        if parts := solution(cell.source):
            text = f"**For the teacher: typical wrong answers**\n\n{exercise(parts[2]).table()}"
            hints = nbformat.v4.new_markdown_cell(text, id=f"{cell.id}-mistakes")
            nb.cells.insert(nb.cells.index(cell) + 1, hints)
    return nb


def code_cells(nb: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """List the cells of code."""
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def write(nb: nbformat.NotebookNode, path: Path) -> str:
    """Write a copy; one of that name with other content, say a student's work, is put aside and not overwritten.

    Returns:
        Where the earlier copy went, as a remark for the user, or "".
    """
    text, remark = nbformat.writes(nb) + "\n", ""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_text(encoding="utf8") != text:
        aside = path.parent.with_name(f"{path.parent.name}-earlier")
        aside.mkdir(exist_ok=True)
        number = 1 + sum(1 for _ in aside.glob(f"{path.stem}-*.ipynb"))
        kept = path.rename(aside / f"{path.stem}-{number}.ipynb")
        remark = f" (the copy that was there is now {kept.relative_to(path.parents[2]).as_posix()})"
    path.write_text(text, encoding="utf8", newline="\n")
    return remark


def main() -> None:
    """Take the notebooks one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--instructors", action="store_true", help="the full notebooks, with the usual mistakes")
    kind, derive = ("instructors", for_instructors) if parser.parse_args().instructors else ("students", for_students)
    folder = ROOT / "build" / kind
    print(f"Writing the {kind}' notebooks into build/{kind}/.")
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        nb = nbformat.read(path, as_version=4)
        try:
            copied = derive(nb)
        except ValueError as error:
            sys.exit(f"{path.name}: {error}")
        count = sum(solution(cell.source) is not None for cell in code_cells(nb))
        print(f"  {path.stem}: {plural(count, 'exercise')}{write(copied, folder / path.name)}")
    print(f"Open them with: make lab FOLDER=build/{kind}")


if __name__ == "__main__":
    main()
