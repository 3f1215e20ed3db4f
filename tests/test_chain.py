"""The whole way of real data: archives as they are published, fetched and laid out, and each notebook run on them.

Runs beside the notebooks, not among the unit tests: it takes the four through to their ends.
"""

import nbformat
import pytest
from test_fetch import address, below, get, published, root  # noqa: F401 - fixtures

from helpers import passports, phantoms, phantoms_l3, phantoms_siim
from helpers.phantoms_radiography import RadiographySettings, make_radiography
from helpers.trunk_scans import L3Settings
from tools.run_notebooks import ROOT, execute, kernel_environment

NOTEBOOKS = {
    "mosmed": "01_ct_3d_classification",
    "l3": "02_l3_mip_localization",
    "siim": "03_pneumothorax_segmentation",
    "radiography": "04_xray_resnet",
}


@pytest.fixture(scope="module")
def phantom_sets(tmp_path_factory):
    """Enough of each for a split, and small."""
    folder = tmp_path_factory.mktemp("phantoms")
    phantoms.make_ct(folder / "mosmed", phantoms.CTSettings(8, 8, 48))
    phantoms_l3.make_l3_npz(folder / "l3" / "l3_dataset.npz", L3Settings(16, pixel=8.0))
    phantoms_siim.make_siim(folder / "siim", phantoms_siim.SIIMSettings(40, 64))
    make_radiography(folder / "radiography", RadiographySettings(8, 64, duplicates=0))
    return folder


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_to_its_end_on_what_was_fetched(name, get, root, phantom_sets, tmp_path):  # noqa: F811
    by_hand = ["--from", phantom_sets / "l3" / "l3_dataset.npz"] if name == "l3" else []
    code, said = get(name, *by_hand)
    assert code == 0, said
    code, said = get("--verify")
    assert code == 0, said
    nb = nbformat.read(ROOT / "notebooks" / f"{NOTEBOOKS[name]}.ipynb", as_version=4)
    build = tmp_path / "build"
    aside = f"import pathlib\nfrom helpers import runtime\nruntime.BUILD = pathlib.Path({str(build)!r})"
    nb.cells.insert(0, nbformat.v4.new_code_cell(aside))  # caches and passports leave those of the course alone
    environment = kernel_environment(phantoms=True) | {"COURSE_DATA": str(root)}
    before = {name: path.read_bytes() for name, path in below(root).items()}
    fault, _ = execute(nb, ROOT / "notebooks", environment, name)
    assert fault == ""
    after = {name: path.read_bytes() for name, path in below(root).items()}
    assert after == before, "the data stay as they are"
    printed = "".join(output.get("text", "") for cell in nb.cells for output in cell.get("outputs", []))
    assert f"real: {name}" in printed or name in ("siim", "radiography")  # in those, ORIGIN.json says phantom
    found, refused = passports.read_all(build / "passports")
    assert refused == []
    assert all(one.run == "quick" for one in found)
