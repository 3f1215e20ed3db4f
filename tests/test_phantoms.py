"""Phantom CT scans: the same patients everywhere, lesions that are known exactly, files that read back, and no toy."""

from functools import partial
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from helpers import anatomy, ct, files, organs, phantoms
from helpers.parallel import in_processes
from helpers.phantoms import CTSettings

SMALL = CTSettings(healthy=2, ill=2, matrix=48)
HALF = 150


def measure(number):
    """Draw one of 300 scans; return its hash and what simple rules see of it."""
    hu, lesions, grid = phantoms.draw_ct(number, number >= HALF, CTSettings())
    scan = ct.Volume(np.maximum(hu, ct.AIR), grid.spacing, "phantom", "LAS")
    seen = ct.prepare(scan, (46, 46, 46))
    return SimpleNamespace(
        hash=files.hash_bytes(hu.tobytes(), lesions.tobytes()),
        shape=hu.shape,
        spacing=grid.spacing,
        mean=seen.mean(),
        deviation=seen.std(),
        hazy=np.mean((hu > -700) & (hu < -300)),
        lesion_ml=lesions.sum() * np.prod(grid.spacing) / 1000,
    )


def compare(number):
    """Draw one patient ill and healthy; return contrast in HU, volume in ml and number of the lesions."""
    ill, lesions, grid = phantoms.draw_ct(number, True, SMALL)
    healthy, _, _ = phantoms.draw_ct(number, False, SMALL)
    contrast = ill[lesions].astype(float).mean() - healthy[lesions].astype(float).mean()
    return contrast, lesions.sum() * np.prod(grid.spacing) / 1000, ndimage.label(lesions)[1]


@pytest.fixture(scope="module")
def scans():
    """300 scans at the course's size, drawn on all cores."""
    return list(in_processes(measure, range(2 * HALF)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return phantoms.make_ct(tmp_path_factory.mktemp("data") / "mosmed", SMALL)


def noise_free(monkeypatch, number, ill):
    """A scan as drawn, before the scanner adds its noise."""
    monkeypatch.setattr(phantoms, "_scan", lambda hu, grid, rng: hu)
    return phantoms.draw_ct(number, ill, SMALL)


def chest_of(number, settings):
    return anatomy.sample_thorax(np.random.default_rng([settings.seed, number]))


# Who is drawn


def test_a_patient_is_the_same_alone_in_another_order_and_in_parallel(scans):
    for number in (299, 0, 151, 7):
        assert measure(number).hash == scans[number].hash


def test_no_two_patients_are_alike(scans):
    assert len({scan.hash for scan in scans}) == 300
    assert len({scan.shape for scan in scans}) > 10
    pixels, steps = np.transpose([scan.spacing[1:] for scan in scans])
    assert pixels.std() > 0.2
    assert steps.min() >= 5
    assert steps.max() <= 8


def test_another_seed_is_another_patient():
    one, other = (phantoms.draw_ct(3, True, CTSettings(matrix=48, seed=seed))[0] for seed in (2020, 2021))
    assert one.shape != other.shape or np.mean(one == other) < 0.5


def test_a_finer_matrix_shows_the_same_patient():
    coarse, fine = (phantoms.draw_ct(4, False, CTSettings(matrix=matrix)) for matrix in (48, 96))
    assert coarse[2].spacing[0] == pytest.approx(2 * fine[2].spacing[0])
    assert coarse[2].spacing[2] == fine[2].spacing[2]
    halved = fine[0].reshape(48, 2, 48, 2, -1).mean((1, 3))
    assert np.corrcoef(halved.ravel(), coarse[0].ravel())[0, 1] > 0.97


@pytest.mark.parametrize("number", range(8))
def test_the_whole_lungs_and_the_table_are_in_the_picture(number):
    hu, _, grid = phantoms.draw_ct(number, False, SMALL)
    chest = chest_of(number, SMALL)
    ample = tuple(n + 2 * k for n, k in zip(grid.shape, (12, 12, 6), strict=True))
    start = tuple(o - k * s for o, k, s in zip(grid.origin, (12, 12, 6), grid.spacing, strict=True))
    whole = organs.draw_thorax(chest, type(grid)(ample, grid.spacing, start)).lungs
    inside = organs.draw_thorax(chest, grid).lungs
    assert inside.sum() > 0.98 * whole.sum()
    lung = hu[inside > 0.99]
    assert -950 < np.median(lung) < -600
    assert hu.dtype == np.int16
    assert hu.min() >= -2048
    below = np.median(hu[20:28, : round(24 - 0.9 * chest.depth / grid.spacing[1])].max(1))
    assert below > -300  # skin, or the table's shell


def test_noise_and_offset_are_those_of_a_scanner(monkeypatch):
    levels, grains = [], []
    for number in range(12):
        hu, _, _ = phantoms.draw_ct(number, False, SMALL)
        with monkeypatch.context() as patch:
            added = hu - noise_free(patch, number, False)[0]
        middle = added[14:34, 14:34][hu[14:34, 14:34] > -900]
        levels.append(middle.mean())
        grains.append(middle.std())
    assert np.abs(levels).max() < 40
    assert 3 < np.std(levels) < 20
    assert 8 < min(grains) < 25 < max(grains) < 60


# The lesions


def test_healthy_scans_have_an_empty_mask_and_ill_ones_have_not(scans):
    assert all(scan.lesion_ml == 0 for scan in scans[:HALF])
    assert all(scan.lesion_ml > 2 for scan in scans[HALF:])


@pytest.mark.parametrize("number", range(12))
def test_opacities_are_the_only_difference_and_the_mask_says_where(number, monkeypatch):
    ill, lesions, grid = noise_free(monkeypatch, number, True)
    healthy, none, _ = noise_free(monkeypatch, number, False)
    assert not none.any()
    added = ill - healthy
    lungs = organs.draw_thorax(chest_of(number, SMALL), grid).lungs
    assert (lungs[lesions] > 0.49).all()
    assert (added >= 0).all()
    assert (added[lungs < 1e-3] == 0).all()
    assert ill[added > 0].max() < 45  # ground glass up to soft tissue, never bone
    assert np.mean(added[lesions] > 30) > 0.85  # the rest are vessels, as dense as can be
    assert added[lesions].mean() > 4 * added[~lesions & (lungs > 0.5)].mean()
    assert added[lesions].sum() > 0.75 * added.sum()  # the rest is the haze around them
    far = ndimage.distance_transform_edt(~lesions, grid.spacing) > 40
    assert added[far].sum() < 0.02 * added.sum()  # wisps too thin for the mask


def test_opacities_differ_in_number_size_and_density_and_some_are_hard_to_see():
    contrast, volume, count = np.transpose(list(in_processes(compare, range(72))))
    assert np.quantile(contrast, 0.05) < 250 < 500 < np.quantile(contrast, 0.9)
    assert contrast.min() > 60
    assert np.quantile(volume, 0.05) < 60 < 600 < np.quantile(volume, 0.9)
    assert np.quantile(count, 0.1) <= 8 < 30 <= np.quantile(count, 0.9)
    assert 0.05 < np.mean((contrast < 250) | (volume < 50)) < 0.35


def test_opacities_prefer_the_back_the_bases_and_both_lungs():
    behind, below, sides = [], [], []
    for number in range(16):
        _, lesions, grid = phantoms.draw_ct(number, True, SMALL)
        drawing = organs.draw_thorax(chest_of(number, SMALL), grid)
        lungs = drawing.lungs > 0.5
        x, y, z = drawing.patient
        behind.append(y[lungs].mean() - y[lesions].mean())
        below.append(z[lungs].mean() - z[lesions].mean())
        sides.append((x[lesions] > 0).any() and (x[lesions] < 0).any())
    assert np.mean(behind) > 5
    assert np.mean(below) > 3
    assert np.mean(sides) > 0.7


# Not a toy: what a rule of thumb cannot do, a network must learn


def test_mean_and_deviation_do_not_tell_the_classes_apart(scans):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features = np.array([(scan.mean, scan.deviation) for scan in scans])
    labels = np.arange(2 * HALF) >= HALF
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    ill = cross_val_predict(model, features, labels, cv=folds, method="predict_proba")[:, 1]
    assert roc_auc_score(labels, ill) < 0.65


def test_counting_hazy_voxels_helps_but_does_not_solve_it(scans):
    hazy = np.array([scan.hazy for scan in scans])
    above = hazy[HALF:, None] > hazy[None, :HALF]
    assert 0.6 < above.mean() < 0.88


# The files


def test_scans_read_back_with_their_axes_spacing_and_densities(folder):
    for number, path in enumerate(sorted(folder.glob("CT-*/*.nii.gz"), key=lambda path: path.name)):
        assert path.parent.name == ("CT-0" if number < 2 else "CT-23")
        hu, lesions, grid = phantoms.draw_ct(number, number >= 2, SMALL)
        scan = ct.read_volume(path)
        assert scan.file_axes == "LAS"
        assert scan.hu.dtype == np.int16
        np.testing.assert_array_equal(scan.hu, np.maximum(hu, ct.AIR))
        np.testing.assert_allclose(scan.spacing, grid.spacing, rtol=1e-6)
        np.testing.assert_allclose(scan.affine[:3, 3], grid.origin, rtol=1e-5)
        mask = ct.read_mask(folder / "masks" / f"study_{number:04d}_mask.nii.gz", scan)
        np.testing.assert_array_equal(mask, lesions)
        assert mask.any() == (number >= 2)


def test_the_heart_is_on_the_left_by_the_files_own_affine(folder):
    """Read with nibabel alone: what the file says about itself must be true, whoever reads it."""
    for number in range(4):
        image = nib.load(next(folder.glob(f"CT-*/study_{number:04d}.nii.gz")))
        assert image.get_data_dtype() == np.int16
        assert image.header.get_xyzt_units()[0] == "mm"
        chest = chest_of(number, SMALL)
        seen = []
        for side in (-1, 1):
            spot = chest.to_scanner([[side * 0.32 * chest.width, 0.3 * chest.depth, -0.17 * chest.height]])
            voxel = nib.affines.apply_affine(np.linalg.inv(image.affine), spot)
            around = np.round(voxel + np.mgrid[-1:2, -1:2, 0:1].reshape(3, -1).T).astype(int)
            seen.append(image.get_fdata()[tuple(around.T)].mean())
        assert abs(seen[0] - anatomy.BLOOD) < 60
        assert seen[1] < -300


def test_origin_says_phantom_and_gives_each_scan_a_key(folder):
    origin = files.read_json(folder / "ORIGIN.json")
    assert origin["origin"] == "phantom"
    assert CTSettings(**origin["settings"]) == SMALL
    assert set(origin["keys"]) == {files.hash_file(path) for path in folder.glob("CT-*/*.nii.gz")}
    assert len(set(origin["keys"].values())) == 4


def test_keys_outlive_a_last_digit_that_differs_between_processors(folder, tmp_path, monkeypatch):
    draw = phantoms.draw_ct

    def differ(number, ill, settings):
        hu, lesions, grid = draw(number, ill, settings)
        hu[24, 24, 5] += 1
        return hu, lesions, grid

    monkeypatch.setattr(phantoms, "draw_ct", differ)
    here = files.read_json(folder / "ORIGIN.json")["keys"]
    there = files.read_json(phantoms.make_ct(tmp_path / "mosmed", SMALL) / "ORIGIN.json")["keys"]
    assert not set(here) & set(there)
    assert set(here.values()) == set(there.values())


def test_making_them_again_gives_the_same_files(folder, tmp_path):
    again = phantoms.make_ct(tmp_path / "mosmed", SMALL)
    names = sorted(path.relative_to(folder) for path in folder.rglob("*.*"))
    assert len(names) == 4 + 4 + 1
    assert names == sorted(path.relative_to(again) for path in again.rglob("*.*"))
    for name in names:
        assert (folder / name).read_bytes() == (again / name).read_bytes(), name


def test_progress_counts_the_scans(tmp_path):
    seen = []
    phantoms.make_ct(tmp_path / "mosmed", SMALL, lambda done: (seen.append(1) or one for one in done))
    assert len(seen) == 4


@pytest.mark.parametrize("many", [4, 12], ids=["in this process", "in parallel"])
def test_an_interrupted_run_leaves_nothing_behind(tmp_path, many):
    def stop_soon(done):
        yield next(done)
        raise KeyboardInterrupt

    settings = CTSettings(healthy=many, ill=0, matrix=32)
    with pytest.raises(KeyboardInterrupt):
        phantoms.make_ct(tmp_path / "mosmed", settings, stop_soon)
    assert list(tmp_path.iterdir()) == []


def test_the_name_appears_only_when_all_is_written(tmp_path):
    there = []

    def watch(done):
        for one in done:
            there.append((tmp_path / "mosmed").exists())
            yield one

    phantoms.make_ct(tmp_path / "mosmed", SMALL, watch)
    assert there == [False] * 4


def test_an_existing_folder_is_refused_and_kept(tmp_path):
    (tmp_path / "mosmed").mkdir()
    (tmp_path / "mosmed" / "mine.txt").write_text("mine")
    with pytest.raises(files.DataError, match=r"mosmed: it is there already; name another folder\.$"):
        phantoms.make_ct(tmp_path / "mosmed", SMALL)
    assert [path.name for path in tmp_path.rglob("*")] == ["mosmed", "mine.txt"]


def test_drawing_needs_no_state_of_any_generator():
    np.random.seed(0)  # noqa: NPY002 - the state that must not matter
    draw = partial(phantoms.draw_ct, 6, True, SMALL)
    one = draw()[0]
    np.random.seed(1)  # noqa: NPY002
    np.testing.assert_array_equal(draw()[0], one)
