"""Execute the notebooks, top to bottom.

    python -m tools.run_notebooks                  make run: into build/, with HTML, and a table of results
    python -m tools.run_notebooks --write-outputs  make outputs: committed outputs and passports, on phantoms

Name notebooks to take only those. One that fails is reported in a sentence, and the next one is taken.
"""

import argparse
import base64
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbclient.util import run_sync
from nbconvert import HTMLExporter

from helpers import passports
from helpers.estimates import aligned
from helpers.files import DataError

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
PASSPORTS = BUILD / "passports"
NO_DATA = BUILD / "no-real-data"  # an empty COURSE_DATA: every data set is then a phantom
WIDGET = "application/vnd.jupyter.widget-view+json"
PLOTLY = "application/vnd.plotly.v1+json"
README_FIGURE = "readme-figure"  # a cell whose picture the README shows, written to docs/
# For processes that shall reach nothing outside: a proxy where nothing listens.
NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")
MACHINE_PATH = re.compile(r"(?<![\w./])/(work|tmp|root|home|Users)/\w")


def kernel_environment(phantoms: bool) -> dict[str, str]:
    """Return the variables a kernel starts with.

    Args:
        phantoms: Quick size and no real data, whatever the shell says: what committed outputs show.
    """
    environment = dict(os.environ, PYTHONHASHSEED="0", JUPYTER_PLATFORM_DIRS="1", TQDM_DISABLE="1")
    # PYTEST_CURRENT_TEST makes ipykernel drop what native code prints; MPLBACKEND would hide the figures.
    for name in ("PYTEST_CURRENT_TEST", "MPLBACKEND"):
        environment.pop(name, None)
    if phantoms:
        NO_DATA.mkdir(parents=True, exist_ok=True)
        environment |= {"COURSE_RUN": "quick", "COURSE_DATA": str(NO_DATA)}
    return environment


def progress(text: str) -> None:
    """Show a passing line where somebody watches, and nothing in a log."""
    if sys.stdout.isatty():
        print(f"\r{text:<79}\r", end="", flush=True)


def peak_memory(client: NotebookClient) -> float | None:
    """Ask a kernel for its own peak memory in GB; None where the system cannot tell (Windows)."""
    expressions = {"peak": "__import__('helpers.runtime').runtime.peak_memory()"}

    async def ask() -> dict:
        return await client.kc.execute("", silent=True, user_expressions=expressions, reply=True, timeout=30)

    answer = run_sync(ask)()["content"]["user_expressions"]["peak"]
    said = answer["data"]["text/plain"]
    return None if said == "None" else float(said)


def execute(
    nb: nbformat.NotebookNode, folder: Path, environment: dict[str, str], name: str
) -> tuple[str, float | None]:
    """Execute a notebook in place, in a kernel of its own.

    Args:
        nb: The notebook; its outputs are replaced, those after a failing cell stay empty.
        folder: Working folder of the kernel.
        environment: Variables of the kernel.
        name: What the progress line calls it.

    Returns:
        What went wrong, in one line ("" if nothing did), and the kernel's peak memory in GB or None.
    """
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        nb,
        kernel_name="python3",
        timeout=None,
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=50"],  # ipykernel warns at every start that it listens on this machine
        resources={"metadata": {"path": str(folder)}},
    )
    code = [index for index, cell in enumerate(nb.cells) if cell.cell_type == "code"]
    client.reset_execution_trackers()
    start = time.monotonic()
    fault, memory = "", None
    with client.setup_kernel(env=environment):
        try:
            for number, index in enumerate(code, 1):
                progress(f"  {name}: cell {number} of {len(code)}, {time.monotonic() - start:.0f} s")
                client.execute_cell(nb.cells[index], index)
        except CellExecutionError as error:
            message = re.sub(r"\s+", " ", error.evalue).strip()
            fault = f"code cell {number} raised {error.ename}: {message}"
        except DeadKernelError:
            fault = f"the kernel died in code cell {number}: too little memory is the usual cause"
        else:
            memory = peak_memory(client)
    progress("")
    return fault, memory


def tidy(nb: nbformat.NotebookNode) -> None:
    """Take out of an executed notebook what differs between runs: metadata, and the ids of widgets."""
    nb.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in nb.cells:
        cell.metadata = nbformat.from_dict({key: value for key, value in cell.metadata.items() if key == "tags"})
        for output in cell.get("outputs", []):
            # Without its kernel a widget shows nothing and hides the picture beside it; its id is random.
            output.get("data", {}).pop(WIDGET, None)


def keep_measured(nb: nbformat.NotebookNode, committed: nbformat.NotebookNode) -> None:
    """Give cells tagged ``measured`` the outputs back that they came with: times differ in every run."""
    for cell, before in zip(nb.cells, committed.cells, strict=True):
        if "measured" in cell.metadata.get("tags", []) and before.outputs:
            cell.outputs = before.outputs


def strings(node: object, key: str = "") -> list[str]:
    """List every text in a notebook except the pictures."""
    if isinstance(node, dict):
        return [text for key, value in node.items() for text in strings(value, key)]
    if isinstance(node, list):
        return [text for value in node for text in strings(value, key)]
    return [node] if isinstance(node, str) and not key.startswith("image/") else []


def output_faults(nb: nbformat.NotebookNode) -> list[str]:
    """Say what must not stand in a committed notebook's outputs: errors, stderr, unseen figures, machine paths."""
    faults = []
    own = [str(path) for path in (ROOT, Path.home()) if len(path.parts) > 1]
    for number, cell in enumerate((c for c in nb.cells if c.cell_type == "code"), 1):
        first = (cell.source.splitlines() or [""])[0]
        for output in cell.outputs:
            if output.output_type == "error" and "raises-exception" not in cell.metadata.get("tags", []):
                faults.append(f"code cell {number} ({first}) ended in an error: {output.ename}")
            if output.get("name") == "stderr":
                faults.append(f"code cell {number} ({first}) wrote to stderr: {output.text.strip()[:200]}")
            if PLOTLY in output.get("data", {}) and "image/png" not in output.data:
                faults.append(f"code cell {number} ({first}) holds a plotly figure without a PNG, so GitHub shows none")
        for text in strings(cell):
            if MACHINE_PATH.search(text) or any(path in text for path in own):
                faults.append(f"code cell {number} ({first}) holds a path of this machine")
    return faults


def add_plotly_pictures(nb: nbformat.NotebookNode) -> None:
    """Put a PNG beside each plotly figure, which holds only numbers: elsewhere than in JupyterLab nobody sees it.

    Raises:
        NoBrowserError: If there are figures, and no browser that could draw them.
    """
    shown = [output.get("data", {}) for cell in nb.cells for output in cell.get("outputs", [])]
    outputs = [data for data in shown if PLOTLY in data and "image/png" not in data]
    if outputs:
        from tools import headless  # needs selenium, and the other commands do not

        for data, picture in zip(outputs, headless.plotly_pngs([data[PLOTLY] for data in outputs]), strict=True):
            data["image/png"] = base64.b64encode(picture).decode()


def commit_passports(folder: Path, since: float, force: bool) -> None:
    """Copy the passports written since a moment into a folder, except those of the same result as the one there.

    Time and memory differ in every run; a passport that says the same otherwise stays as it is, so that it is always
    the record of one run.

    Raises:
        DataError: If one of them cannot be read.
    """
    for path in written_since(since):
        fresh, place = passports.read(path), folder / path.name
        if force or not place.exists() or passports.read(place).result != fresh.result:
            passports.write(fresh, place)


def write_outputs(path: Path, force: bool) -> str:
    """Re-run a notebook on phantoms in quick size and write its outputs back; return what went wrong, or ""."""
    committed = nbformat.read(path, as_version=4)
    nb = nbformat.read(path, as_version=4)
    began = time.time()
    fault, _ = execute(nb, path.parent, kernel_environment(phantoms=True), path.stem)
    if fault:
        return fault
    tidy(nb)
    if not force:
        keep_measured(nb, committed)
    try:
        add_plotly_pictures(nb)
    except RuntimeError as error:
        return f"not written: {error}"
    faults = output_faults(nb)
    if faults:
        return "not written: " + "; ".join(faults)
    try:
        commit_passports(path.parent / "passports", began, force)
    except DataError as error:
        return f"not written: {error}"
    part = path.with_suffix(".part")
    nbformat.write(nb, part)
    part.replace(path)
    for cell in nb.cells:
        if README_FIGURE in cell.metadata.get("tags", []):
            picture = base64.b64decode(cell.outputs[0].data["image/png"])
            (ROOT / "docs" / f"notebook{path.stem[:2]}.png").write_bytes(picture)
    print(f"  {path.stem}: outputs written")
    return ""


def written_since(moment: float) -> list[Path]:
    """List the passports in build/ written since a moment, oldest first."""
    times = {path: path.stat().st_mtime for path in PASSPORTS.glob("*.json")}
    return sorted((path for path in times if times[path] >= moment), key=times.get)


def results_since(start: float) -> list[list[str]]:
    """Set out the passports written since a moment, oldest first: result, interval, trivial rule, data.

    Raises:
        DataError: If one of them cannot be read.
    """
    rows = []
    for path in written_since(start):
        passport = passports.read(path)
        metric, value, _, interval, rule = passport.estimate.row
        rows.append([f"{metric} {value}", interval, rule, f"{passport.data}, {passport.run}"])
    return rows


def build(path: Path) -> tuple[str, list[list[str]]]:
    """Execute a notebook into build/ with HTML beside it; return what went wrong, or "", and its table rows."""
    nb = nbformat.read(path, as_version=4)
    began, start = time.time(), time.monotonic()
    fault, memory = execute(nb, path.parent, kernel_environment(phantoms=False), path.stem)
    minutes = f"{(time.monotonic() - start) / 60:.1f}"
    peak = "unknown" if memory is None else f"{memory:.1f} GB"
    tidy(nb)
    nbformat.write(nb, BUILD / path.name)
    page, _ = HTMLExporter().from_notebook_node(nb, resources={"metadata": {"name": path.stem}})
    (BUILD / path.name).with_suffix(".html").write_text(page, encoding="utf8")
    try:
        results = results_since(began)
    except DataError as error:
        results, fault = [], fault or str(error)
    print(f"  {path.stem}: {'failed' if fault else 'done'} after {minutes} minutes", flush=True)
    if fault or not results:
        results.append(["failed" if fault else "none of its own", "-", "-", "-"])
    return fault, [[path.stem, *result, minutes, peak] for result in results]


def main() -> None:
    """Take the notebooks one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all in notebooks/")
    parser.add_argument("--write-outputs", action="store_true", help="rewrite the committed outputs, on phantoms")
    parser.add_argument("--force", action="store_true", help="with --write-outputs: measured cells too")
    arguments = parser.parse_args()
    paths = [path.resolve() for path in arguments.notebooks] or sorted((ROOT / "notebooks").glob("*.ipynb"))
    BUILD.mkdir(exist_ok=True)
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # python3 is this environment's kernel, not one of the user's

    where = "into notebooks/, on phantoms in quick size" if arguments.write_outputs else "into build/"
    print(f"Executing {len(paths)} notebook{'s' * (len(paths) != 1)} {where}.", flush=True)
    faults = {}
    rows = [["notebook", "result", "95 % interval", "trivial rule", "data", "minutes", "peak memory"]]
    for path in paths:
        print(f"  {path.stem}: started", flush=True)
        if arguments.write_outputs:
            faults[path.stem] = write_outputs(path, arguments.force)
        else:
            faults[path.stem], results = build(path)
            rows += results
    if not arguments.write_outputs:
        print("\n" + aligned(rows))
    failed = [f"{name}: {fault}" for name, fault in faults.items() if fault]
    if failed:
        sys.exit("\n" + "\n".join(failed))


if __name__ == "__main__":
    main()
