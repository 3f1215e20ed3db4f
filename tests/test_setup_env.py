"""tools/setup_env.py: what it refuses, when it makes .venv again, and what goes into a GPU environment."""

import json
import sys
import tomllib

import pytest
from packaging.specifiers import SpecifierSet

from tools import setup_env

HERE = ((3, 12), "Linux", "x86_64", "")


@pytest.mark.parametrize(
    ("python", "system", "machine", "gpu", "words"),
    [
        ((3, 10), "Linux", "x86_64", "", "Python 3.11, 3.12 or 3.13, and this is 3.10"),
        ((3, 14), "Linux", "x86_64", "", "this is 3.14"),
        ((3, 12), "Darwin", "x86_64", "", "no wheels for this machine (Darwin, x86_64)"),
        ((3, 12), "Linux", "aarch64", "", "no wheels for this machine (Linux, aarch64)"),
        ((3, 12), "Linux", "x86_64", "cu999", "choose GPU=cu118, cu126, cu129, cu130"),
        ((3, 12), "Darwin", "arm64", "cu126", "no GPU build for Macs"),
    ],
)
def test_refusals_are_one_sentence(python, system, machine, gpu, words):
    sentence = setup_env.refusal(python, system, machine, gpu)
    assert words in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


@pytest.mark.parametrize("system", ["Linux", "Windows", "Darwin"])
@pytest.mark.parametrize("python", setup_env.PYTHONS)
def test_what_paddle_supports_is_accepted(python, system):
    machine = {"Linux": "x86_64", "Windows": "AMD64", "Darwin": "arm64"}[system]
    assert setup_env.refusal(python, system, machine, "") == ""
    assert system == "Darwin" or setup_env.refusal(python, system, machine, "cu126") == ""


def test_pythons_are_those_of_pyproject():
    project = tomllib.loads((setup_env.ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
    allowed = SpecifierSet(project["requires-python"])
    minors = tuple((3, minor) for minor in range(30) if allowed.contains(f"3.{minor}.1"))
    assert minors == setup_env.PYTHONS


@pytest.fixture
def stamped(tmp_path, monkeypatch):
    """A folder that looks like a finished .venv, and the description it was made from."""
    monkeypatch.setattr(setup_env, "VENV", tmp_path)
    monkeypatch.setattr(setup_env, "STAMP", tmp_path / "course.json")
    monkeypatch.setattr(setup_env, "PYTHON", tmp_path / "python")
    (tmp_path / "python").symlink_to(sys.executable)
    target = setup_env.wanted("")
    setup_env.STAMP.write_text(json.dumps(target), encoding="utf8")
    return target


def test_finished_environment_is_left_alone(stamped):
    assert setup_env.why_stale(stamped) == ""


@pytest.mark.parametrize("key", setup_env.REASONS)
def test_each_change_makes_it_stale(stamped, key):
    assert setup_env.why_stale(stamped | {key: "other"}) == setup_env.REASONS[key]
    assert stamped.keys() == setup_env.REASONS.keys()


def test_locks_and_pyproject_count_but_not_ruffs_settings(stamped, tmp_path, monkeypatch):
    root = tmp_path / "course"
    root.mkdir()
    pyproject = (setup_env.ROOT / "pyproject.toml").read_text(encoding="utf8")
    lock = setup_env.LOCK.read_text(encoding="utf8")
    monkeypatch.setattr(setup_env, "ROOT", root)
    monkeypatch.setattr(setup_env, "LOCK", root / "dev.txt")

    def reason(pyproject: str, lock: str) -> str:
        (root / "pyproject.toml").write_text(pyproject, encoding="utf8")
        (root / "dev.txt").write_text(lock, encoding="utf8")
        return setup_env.why_stale(setup_env.wanted(""))

    assert reason(pyproject, lock) == ""
    assert reason(pyproject.replace("line-length = 120", "line-length = 100"), lock) == ""
    assert "changed" in reason(pyproject, lock.replace("numpy==", "numpy==1"))
    assert "changed" in reason(pyproject.replace("paddlepaddle==", "paddlepaddle==1"), lock)
    assert "another build" in setup_env.why_stale(setup_env.wanted("cu126"))


@pytest.mark.parametrize("content", [None, "", '{"folder": "/x', "\x00"])
def test_unfinished_set_up_is_made_again(stamped, content):
    setup_env.STAMP.unlink() if content is None else setup_env.STAMP.write_text(content, encoding="utf8")
    assert setup_env.why_stale(stamped) == "its set-up was not finished"


def test_environment_without_its_python_is_made_again(stamped):
    setup_env.PYTHON.unlink()
    setup_env.PYTHON.symlink_to("no-such-python")
    assert setup_env.why_stale(stamped) == "its Python is gone"


def test_gpu_lock_lacks_paddle_alone():
    lock = setup_env.LOCK.read_text(encoding="utf8")
    left = setup_env.without_paddle(lock).splitlines()
    removed = [line for line in lock.splitlines() if line not in set(left)]
    assert removed[0].startswith("paddlepaddle==")
    assert all(line.startswith("    --hash=") for line in removed[1:])
    assert sum("==" in line for line in left) == sum("==" in line for line in lock.splitlines()) - 1
