"""What is installed is declared once: pyproject.toml, environment.yml, the locks and the README agree."""

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.run_notebooks import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCKS = {"cpu": PROJECT["dependencies"] + EXTRAS["cpu"], "dev": PROJECT["dependencies"] + EXTRAS["cpu"] + EXTRAS["dev"]}


def bounds(lines: list[str]) -> dict[str, str]:
    """Map package names to their bounds, spelt in one way."""
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(requirement.name): str(requirement.specifier) for requirement in requirements}


def lock_text(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf8")


def pins(text: str) -> list[tuple[str, str]]:
    """List (name, version) of a lock; one package may be pinned differently for different Pythons."""
    return [(canonicalize_name(name), version) for name, version in re.findall(r"(?m)^([\w.-]+)==([^\s;\\]+)", text)]


def environment_lines() -> tuple[list[str], list[str]]:
    """Split environment.yml into packages, those of the pip part included, and pip's own options."""
    *conda, last = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf8"))["dependencies"]
    packages = [line for line in conda if line != "pip" and not line.startswith("python=")]
    options = [line for line in last["pip"] if line.startswith("-")]
    return packages + [line for line in last["pip"] if not line.startswith("-")], options


def test_environment_mirrors_pyproject():
    packages, options = environment_lines()
    found = bounds(packages)
    paddle = bounds(EXTRAS["cpu"])["paddlepaddle"]
    assert re.fullmatch(r"==[\d.]+", paddle), "Paddle is pinned exactly"
    assert found.pop("paddlepaddle-gpu") == paddle
    assert found == bounds(PROJECT["dependencies"] + EXTRAS["dev"])
    assert [option.split("#")[0].strip() for option in options] == [
        "--extra-index-url https://www.paddlepaddle.org.cn/packages/stable/cu126/",
        "-e .",
    ]


def test_environment_says_what_needs_each_line():
    lines = (ROOT / "environment.yml").read_text(encoding="utf8").splitlines()
    packages = [line for line in lines if re.match(r"\s+- .*[=.>/]", line) and "python=" not in line]
    assert len(packages) == len(environment_lines()[0]) + 2
    assert [line for line in packages if "  # " not in line] == []


@pytest.mark.parametrize("name", LOCKS)
def test_lock_satisfies_pyproject(name: str):
    locked = pins(lock_text(name))
    for line in LOCKS[name]:
        requirement = Requirement(line)
        versions = [version for package, version in locked if package == canonicalize_name(requirement.name)]
        assert versions, f"{requirement.name} is not in requirements/{name}.txt: run `make lock`"
        assert all(requirement.specifier.contains(version) for version in versions), (line, versions)


@pytest.mark.parametrize("name", LOCKS)
def test_lock_has_hashes_and_no_address(name: str):
    text = lock_text(name)
    entries = re.split(r"(?m)^(?=[\w.-]+==)", text)[1:]
    assert len(entries) == len(pins(text)) > 50
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
    assert not re.search(r"://|index-url|find-links", text)


def test_both_locks_pin_alike():
    missing = set(pins(lock_text("cpu"))) - set(pins(lock_text("dev")))
    assert missing == set(), "compiled apart: run `make lock`"


def test_one_opencv():
    texts = [lock_text("cpu"), lock_text("dev"), (ROOT / "environment.yml").read_text(encoding="utf8")]
    for text in texts:
        builds = re.findall(r"(?m)^\s*(?:- )?((?:py-|lib)?opencv[\w-]*)\s*[=><]", text)
        assert builds == ["opencv-python-headless"]


def test_readme_names_targets_that_exist():
    readme = ROOT / "README.md"
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf8")))
    named = set(re.findall(r"(?m)(?:`|^ *)make ([a-z]+)", readme.read_text(encoding="utf8")))
    assert {"run", "lab", "test", "outputs"} <= named <= targets


def test_readme_names_files_that_exist():
    readme = (ROOT / "README.md").read_text(encoding="utf8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", readme) if "://" not in link]
    assert [link for link in links if not (ROOT / link).exists()] == []
