"""tools/make_students.py: copies without a trace of the solution, and solutions that their checkers accept."""

import ast
import sys

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers import exercises
from tools import make_students
from tools.make_students import BEGIN, END, STUB, code_cells, for_instructors, for_students, solution
from tools.run_notebooks import ROOT, execute, kernel_environment

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SOURCE = """hint = 1400
# solution
part = 0.25 * hint
answer = -1000 + part
# end of solution
print(exercises.check_density(answer))"""
PRINTED = new_output("stream", name="stdout", text="Right.\n")


def small(source=SOURCE):
    """A notebook with an exercise, a remark on its solution, and a cell that has nothing to do with either."""
    tagged = {"tags": ["solution"]}
    cells = [
        new_markdown_cell("# Title", id="title"),
        new_code_cell("1 + 1", id="sum", execution_count=1, outputs=[new_output("stream", name="stdout", text="2")]),
        new_code_cell(source, id="exercise", execution_count=2, outputs=[PRINTED]),
        new_markdown_cell("The window begins at -1000 HU.", id="remark", metadata=tagged),
        new_code_cell("print(part)", id="more", metadata=tagged, execution_count=3),
    ]
    return new_notebook(cells=cells)


def test_a_source_is_cut_at_its_markers():
    given, answer, check = solution(SOURCE)
    assert given == "hint = 1400"
    assert answer == "part = 0.25 * hint\nanswer = -1000 + part"
    assert check == "print(exercises.check_density(answer))"
    assert solution("answer = 3\nprint(answer)") is None


def test_students_get_no_trace_of_the_solution():
    nb, before = small(), nbformat.writes(small())
    copied = for_students(nb)
    assert [cell.id for cell in copied.cells] == ["title", "sum", "exercise"]
    assert copied.cells[2].source == f"hint = 1400\n{STUB}\nprint(exercises.check_density(answer))"
    assert (copied.cells[2].outputs, copied.cells[2].execution_count) == ([], None)
    assert copied.cells[:2] == nb.cells[:2]
    assert not any(words in nbformat.writes(copied) for words in ("0.25", "Right.", "begins at -1000", "part"))
    assert nbformat.writes(nb) == before


def test_instructors_get_everything_and_the_usual_mistakes_after_each_exercise():
    nb = small()
    copied = for_instructors(nb)
    assert [cell.id for cell in copied.cells] == ["title", "sum", "exercise", "exercise-mistakes", "remark", "more"]
    assert [cell for cell in copied.cells if cell.id != "exercise-mistakes"] == nb.cells
    for answer, thought in exercises.EXERCISES[0].mistakes:
        assert f"| {answer:g} | {thought} | {exercises.check_density(answer)} |" in copied.cells[3].source
    nbformat.validate(copied)


@pytest.mark.parametrize("derive", [for_students, for_instructors])
@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (SOURCE.replace(END, ""), "found 1 beginning and 0 ends"),
        (SOURCE.replace(BEGIN, ""), "found 0 beginnings and 1 end$"),
        (f"{END}\nanswer = 1\n{BEGIN}\nexercises.check_scans(answer)", "found 1 beginning and 1 end$"),
        (SOURCE.replace(END, f"{END}\n{BEGIN}\nanswer = 1\n{END}"), "found 2 beginnings and 2 ends"),
        (SOURCE.replace("answer = ", "density = "), "must set `answer`"),
        (SOURCE.replace("print(exercises.check_density(answer))", "answer"), "followed by its checker"),
        ("answer = -650\nprint(exercises.check_density(answer))", "needs its solution"),
    ],
)
def test_a_faulty_exercise_is_refused_in_a_sentence(derive, source, sentence):
    with pytest.raises(ValueError, match=sentence):
        derive(small(source))


def test_a_checker_without_mistakes_is_refused():
    with pytest.raises(ValueError, match=r"check_colour has no entry in exercises\.EXERCISES"):
        for_instructors(small(SOURCE.replace("check_density", "check_colour")))


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course in a folder of its own, with one notebook; a function that calls the program on it."""
    (tmp_path / "notebooks").mkdir()
    nbformat.write(small(), tmp_path / "notebooks" / "01_toy.ipynb")
    monkeypatch.setattr(make_students, "ROOT", tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["make_students.py", *arguments])
        make_students.main()

    return tmp_path, call


@pytest.mark.parametrize("kind", ["students", "instructors"])
def test_copies_are_written_twice_the_same_and_the_source_stays(course, capsys, kind):
    root, call = course
    source = (root / "notebooks" / "01_toy.ipynb").read_bytes()
    written = []
    for _ in range(2):
        call(*(["--instructors"] if kind == "instructors" else []))
        written.append((root / "build" / kind / "01_toy.ipynb").read_bytes())
    assert written[0] == written[1]
    assert (root / "notebooks" / "01_toy.ipynb").read_bytes() == source
    assert (b"# solution" in written[0]) == (kind == "instructors")
    assert [path.name for path in (root / "build").iterdir()] == [kind]
    assert "  01_toy: 1 exercise\n" in capsys.readouterr().out


def test_work_on_a_copy_is_put_aside_and_never_overwritten(course, capsys):
    root, call = course
    copied = root / "build" / "students" / "01_toy.ipynb"
    for number in (1, 2):
        call()
        fresh = copied.read_text()
        copied.write_text(fresh.replace("None", f"{number}"))
        call()
        assert copied.read_text() == fresh
        kept = root / "build" / "students-earlier" / f"01_toy-{number}.ipynb"
        assert f"answer = {number}" in kept.read_text()
        assert f"is now build/students-earlier/01_toy-{number}.ipynb" in capsys.readouterr().out


def test_the_program_ends_with_the_notebook_named(course):
    root, call = course
    nbformat.write(small("exercises.check_scans(60)"), root / "notebooks" / "02_bad.ipynb")
    with pytest.raises(SystemExit, match=r"02_bad.ipynb: an exercise needs its solution"):
        call()


def parts(path):
    """The exercises of a committed notebook, each as (given, answer, check)."""
    return [cut for cell in code_cells(nbformat.read(path, as_version=4)) if (cut := solution(cell.source))]


def test_notebook_01_has_three_exercises():
    assert [make_students.exercise(check).check.__name__ for _, _, check in parts(NOTEBOOKS[0])] == [
        "check_density",
        "check_threshold",
        "check_scans",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_committed_solution_passes_its_checker(path, capsys):
    """The solution of the notebook itself, behind its own imports, on the example that belongs to the exercise."""
    statements = [ast.parse(cell.source).body for cell in code_cells(nbformat.read(path, as_version=4))]
    imports = [
        ast.unparse(line) for body in statements for line in body if isinstance(line, ast.Import | ast.ImportFrom)
    ]
    for given, answer, check in parts(path):
        exec("\n".join([*imports, given, answer, check]), dict(make_students.exercise(check).given))
        assert capsys.readouterr().out.startswith(exercises.RIGHT)


@pytest.mark.parametrize("seed", range(20))
def test_the_solution_on_the_threshold_is_right_for_any_validation_set(seed, capsys):
    rng = np.random.default_rng(seed)
    truth = np.repeat([0, 1], rng.integers(1, 40, 2))
    space = {"exercises": exercises, "np": np, "truth": truth, "score": rng.random(len(truth)).round(1)}
    exec("\n".join(parts(NOTEBOOKS[0])[1]), space)
    assert capsys.readouterr().out.startswith(exercises.RIGHT)


@pytest.mark.parametrize("truth", [[0, 0, 0], [1, 1, 1]])
def test_the_solution_on_the_threshold_survives_a_set_of_one_class(truth, capsys):
    space = {"exercises": exercises, "np": np, "truth": np.array(truth), "score": np.array([0.1, 0.6, 0.9])}
    exec("\n".join(parts(NOTEBOOKS[0])[1]), space)
    said = capsys.readouterr().out
    assert said.startswith(exercises.RIGHT) or "no case of class 1" in said


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_exercises_of_the_student_notebook_run_and_ask_for_an_answer(path, tmp_path):
    """Only those cells, in a kernel; the rest of the notebook is replaced by what the examples hold."""
    derived = for_students(nbformat.read(path, as_version=4))
    asking = [cell for cell in code_cells(derived) if STUB in cell.source]
    setup = "import numpy as np\nfrom helpers import exercises\n"
    setup += "for known in exercises.EXERCISES:\n    globals().update(known.given)"
    short = new_notebook(cells=[new_code_cell(setup), *asking])
    fault, _ = execute(short, tmp_path, kernel_environment(phantoms=True), path.stem)
    assert fault == ""
    assert [cell.outputs[0].text for cell in asking] == [exercises.OPEN + "\n"] * len(asking)
    assert not any(mark in cell.source for cell in derived.cells for mark in (BEGIN, END))
