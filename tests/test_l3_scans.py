"""The scans of notebook 02: every row is a height and back, nobody is dropped, and a wrong table is one sentence."""

import itertools
import shutil

import nibabel as nib
import numpy as np
import pytest
from test_l3data import content, written
from tiny import one_sentence, save_series

from helpers import ct, datasets, files, l3_scans, phantoms_l3, runtime
from helpers.files import DataError
from helpers.l3_scans import COLUMNS, LEVELS, MM, TARGET
from helpers.trunk_scans import L3Settings

SMALL = L3Settings(count=4, pixel=8.0, seed=3)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "ROOT", tmp_path / "course")
    monkeypatch.setattr(runtime, "BUILD", tmp_path / "course" / "build")
    monkeypatch.delenv("COURSE_DATA", raising=False)
    monkeypatch.setenv("TQDM_DISABLE", "1")


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory):
    return phantoms_l3.make_l3(tmp_path_factory.mktemp("data") / "l3", SMALL)


def block(spacing, size=(240.0, 180.0, 240.0), plate=75.0, aside=0.0):
    """A body with a spine, one plate of dense bone in it at a height above the first slice, and its height in mm."""
    shape = [max(int(side / step), 4) for side, step in zip(size, spacing, strict=True)]
    x, y, _ = (np.arange(count) * step for count, step in zip(shape, spacing, strict=True))
    hu = np.full(shape, -1000, np.int16)
    hu[np.ix_((x > 20) & (x < 220), (y > 10) & (y < 170))] = 40
    spine = np.ix_(abs(x - 120 - aside) < 18, abs(y - 45) < 18)
    hu[spine] = 300
    index, half = round(plate / spacing[2]), round(1.6 / spacing[2])
    for slice_ in range(index - half, index + half + 1):
        hu[*spine, slice_] = 2000
    return hu, index


def stored(hu, spacing, order=(0, 1, 2), signs=(1, 1, 1), origin=(-40.0, -50.0, 200.0)):
    """An image file whose axes lie in another order and direction, of the same patient in the same place."""
    turned = hu.transpose(order)[tuple(slice(None, None, sign) for sign in signs)]
    affine = np.zeros((4, 4))
    affine[:, 3] = (*origin, 1)
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, axis] = sign * spacing[world]
        affine[world, 3] += (hu.shape[world] - 1) * spacing[world] if sign < 0 else 0
    return nib.Nifti1Image(turned, affine)


def refusal(folder) -> str:
    with pytest.raises(DataError) as caught:
        l3_scans.prepare(l3_scans.read_folder(folder))
    one_sentence(str(caught.value))
    return str(caught.value)


def brightest(image):
    """The row of the plate, to a fraction."""
    profile = image.astype(float).max(axis=1)
    rows = np.flatnonzero(profile > 0.6 * profile.max())
    return np.average(rows, weights=profile[rows])


# From voxels to rows


@pytest.mark.parametrize("thickness", [0.8, 1.0, 2.0, 3.0, 5.0])
def test_a_row_is_a_height_and_back_through_the_whole_chain(tmp_path, thickness):
    spacing = (4.0, 4.5, thickness)
    hu, index = block(spacing)
    for order, signs in [((0, 1, 2), (1, 1, 1)), ((0, 1, 2), (-1, -1, -1)), ((2, 0, 1), (-1, 1, 1))]:
        nib.save(stored(hu, spacing, order, signs), tmp_path / "scan.nii")
        volume = ct.read_volume(tmp_path / "scan.nii")
        seen = l3_scans.see(l3_scans.project(volume))
        row = brightest(seen.images[0])
        assert seen.frontal.z_of(row) == pytest.approx(200 + index * thickness, abs=max(1.5, 0.3 * thickness))
        assert seen.frontal.row_of(seen.frontal.z_of(17.25)) == pytest.approx(17.25)
        assert abs(brightest(seen.images[1]) - row) < 0.5  # both views, the same rows


def test_all_48_orientations_look_the_same(tmp_path):
    spacing = (6.0, 6.0, 5.0)
    hu, _ = block(spacing)
    hu[30, 15:20, 20:24] = 900  # right, in front
    first = None
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            nib.save(stored(hu, spacing, order, signs), tmp_path / "scan.nii")
            seen = l3_scans.see(l3_scans.project(ct.read_volume(tmp_path / "scan.nii")))
            first = seen if first is None else first
            np.testing.assert_array_equal(seen.images, first.images)
            assert (seen.frontal.top, seen.frontal.step) == (first.frontal.top, first.frontal.step)
    assert (first.images != first.images[:, :, ::-1]).any()  # so it is not alike by symmetry


@pytest.mark.parametrize("degrees", [8, -12])
def test_an_oblique_scan_has_its_heights_along_the_body(tmp_path, degrees):
    spacing = (4.0, 4.0, 4.0)
    hu, index = block(spacing)
    angle = np.radians(degrees)
    affine = np.diag([*spacing, 1.0])
    affine[:3, :3] = [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]] @ affine[:3, :3]
    nib.save(nib.Nifti1Image(hu, affine), tmp_path / "scan.nii")
    volume = ct.read_volume(tmp_path / "scan.nii")
    seen = l3_scans.see(l3_scans.project(volume))
    middle = [(hu.shape[0] - 1) / 2, (hu.shape[1] - 1) / 2, index, 1]
    assert seen.frontal.z_of(brightest(seen.images[0])) == pytest.approx((affine @ middle)[2], abs=1.5)
    assert seen.frontal.step == pytest.approx(-MM * np.cos(angle))


def test_a_tall_scan_is_not_dropped_and_not_shrunk(tmp_path):
    """700 slices of 2 mm; the marker is 120 mm above the feet."""
    spacing = (8.0, 8.0, 2.0)
    hu, index = block(spacing, size=(240, 180, 1400), plate=120)
    nib.save(stored(hu, spacing), tmp_path / "tall.nii")
    seen = l3_scans.see(l3_scans.project(ct.read_volume(tmp_path / "tall.nii")))
    assert (seen.frontal.mm, len(hu[0, 0])) == (MM, 700)
    assert seen.frontal.rows == pytest.approx(1400 / MM, abs=2)
    assert seen.images.shape[1] >= seen.frontal.rows
    assert seen.frontal.z_of(brightest(seen.images[0])) == pytest.approx(200 + 2 * index, abs=1.5)
    assert (seen.images[0, : seen.frontal.rows].max(axis=1) > 0).all()  # bone in every row, down to the last
    assert (seen.images[:, seen.frontal.rows + 1 :] == 0).all()


@pytest.mark.parametrize("aside", [-60, 0, 50])
def test_the_spine_stands_in_the_middle_wherever_the_patient_lies(aside):
    spacing = (4.0, 4.0, 4.0)
    hu, _ = block(spacing)
    width = 60
    wide = np.full((hu.shape[0] + 2 * width, *hu.shape[1:]), -1000, np.int16)
    place = width + aside // 4
    wide[place : place + hu.shape[0]] = hu
    image = l3_scans.see(l3_scans.project(ct.Volume(wide, spacing, "block", "RAS"))).images[0].astype(float)
    profile = image.sum(axis=0)
    assert np.average(np.arange(COLUMNS), weights=profile) == pytest.approx((COLUMNS - 1) / 2, abs=1.5)


@pytest.mark.parametrize("shape", [(3, 4, 2), (40, 40, 1), (9, 9, 300)])
def test_odd_little_scans_have_an_image_too(shape):
    hu = np.full(shape, -1000, np.int16)
    hu[shape[0] // 2, shape[1] // 2] = 700
    seen = l3_scans.see(l3_scans.project(ct.Volume(hu, (5.0, 5.0, 2.5), "little", "RAS")))
    assert seen.images.max() > 0
    assert (seen.images[:, seen.frontal.rows :] == 0).mean() > 0.95


# The folder of CTs


def test_phantoms_are_made_once_and_their_truth_lies_on_the_bodies():
    data = l3_scans.open_l3(SMALL)
    folders = list((runtime.ROOT / "data" / "phantoms").iterdir())
    assert len(folders) == 1
    stamp = folders[0].stat().st_mtime_ns
    again = l3_scans.open_l3(SMALL)
    assert (again.hash, folders[0].stat().st_mtime_ns) == (data.hash, stamp)
    assert data.origin == "phantom"
    assert "phantom scans" in data.card()
    prepared = l3_scans.prepare(data)
    for index, case in enumerate(data.cases):
        seen = l3_scans.see(l3_scans.project(data.read(index)))
        for level, z in enumerate(case.heights):
            assert np.isnan(prepared.levels[index, level]) == np.isnan(z)
            if np.isfinite(z):
                assert prepared.levels[index, level] == pytest.approx(max(seen.frontal.row_of(z), 0))
        assert case.label == int(np.isnan(case.heights[TARGET]))
        assert case.known.all()
        np.testing.assert_array_equal(prepared.images[index, :, : seen.images.shape[1]], seen.images)
        assert not prepared.images[index, :, seen.images.shape[1] :].any()


def test_real_scans_are_never_replaced_by_phantoms(tmp_path):
    (tmp_path / "l3").mkdir()
    with pytest.raises(DataError, match=r"no l3_dataset.npz and no truth.csv"):
        l3_scans.open_l3(SMALL, tmp_path)
    assert not (runtime.ROOT / "data").exists()


def copy(phantoms, folder, table):
    """The phantoms as a user's own scans, with another table."""
    shutil.copytree(phantoms / "ct", folder / "ct")
    (folder / "truth.csv").write_bytes(table if isinstance(table, bytes) else table.encode())
    return folder


def test_a_users_own_table_needs_name_and_l3_alone(tmp_path, phantoms):
    folder = copy(phantoms, tmp_path / "own", "")
    scan = ct.read_volume(folder / "ct" / "study_0000.nii.gz")
    z = float(scan.affine[2, 3] + 50)
    text = f"name,note,l3_mm\nstudy_0000.nii.gz,fine,{z:.1f}\nstudy_0001.nii.gz,,\n"
    found = []
    for written_by in (text.encode(), b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()):  # the second by Excel
        (folder / "truth.csv").write_bytes(written_by)
        data = l3_scans.read_folder(folder)
        assert data.origin == "real"
        assert sorted(data.labels) == [0, 1]
        assert [case.known.tolist() for case in data.cases] == [(np.arange(len(LEVELS)) == TARGET).tolist()] * 2
        assert {case.key for case in data.cases} == {files.hash_file(case.source) for case in data.cases}
        found.append(data.hash)
    assert found[0] == found[1]
    prepared = l3_scans.prepare(data)
    shown = int(np.flatnonzero(data.labels == 0)[0])
    assert prepared.tops[shown] + prepared.steps[shown] * prepared.levels[shown, TARGET] == pytest.approx(z, abs=0.1)


def test_the_hash_follows_content_truth_and_what_is_known_and_nothing_else(tmp_path, phantoms):
    first = ["study_0000.nii.gz,{z},", "study_0001.nii.gz,,"]
    z = ct.read_volume(phantoms / "ct" / "study_0000.nii.gz").affine[2, 3] + 50
    lines = [line.format(z=z) for line in first]
    folder = copy(phantoms, tmp_path / "own", "")

    def hashed(*lines, header="name,l3_mm,l4_mm"):
        (folder / "truth.csv").write_text("\n".join([header, *lines]))
        return l3_scans.read_folder(folder).hash

    whole = hashed(*lines)
    assert hashed(*lines[::-1]) == whole
    shutil.copytree(folder, tmp_path / "moved")
    assert l3_scans.read_folder(tmp_path / "moved").hash == whole
    assert hashed(lines[0].replace(str(z), str(z + 2)), lines[1]) != whole
    assert hashed(*lines, header="name,l3_mm,note") != whole  # L4 is then not known, not out of view
    (folder / "ct" / "study_0001.nii.gz").write_bytes((folder / "ct" / "study_0002.nii.gz").read_bytes())
    assert hashed(*lines) != whole


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", "truth.csv: it has no line, or no column name or l3_mm"),
        ("name,l3_mm\n", "truth.csv: it has no line"),
        ("name,l4_mm\nstudy_0000.nii.gz,5\n", "no column name or l3_mm"),
        ("name;l3_mm\nstudy_0000.nii.gz;5\n", "with commas between the columns"),
        ("name,l3_mm\nnowhere.nii.gz,5\n", "nowhere.nii.gz: truth.csv names it, but it is not there"),
        ("name,l3_mm\n,5\n", "truth.csv names it, but it is not there"),
        ("l3_mm,name\n5\n", "truth.csv names it, but it is not there"),
        ("name,l3_mm\nstudy_0000.nii.gz,high\n", "its l3_mm of study_0000.nii.gz is 'high'; write millimetres"),
        ("name,l3_mm\nstudy_0000.nii.gz,nan\n", "is 'nan'; write millimetres"),
        ("name,l3_mm\nstudy_0000.nii.gz,-inf\n", "is '-inf'; write millimetres"),
        ('name,l3_mm\nstudy_0000.nii.gz,"31,5"\n', "is '31,5'; write millimetres"),
        ("name,l3_mm,l4_mm\nstudy_0000.nii.gz,,x\n", "its l4_mm of study_0000.nii.gz is 'x'"),
        (b"name,l3_mm\nr\xf6ntgen.nii.gz,5\n", "it is no table in UTF-8"),
        ("name,l3_mm\nstudy_0000.nii.gz,99999\n", "its L3 is said to be at 99999 mm, but it spans z = "),
        ("name,l3_mm\nstudy_0000.nii.gz,-99999\n", "its L3 is said to be at -99999 mm, but it spans z = "),
    ],
)
def test_a_table_that_is_wrong_is_one_sentence(tmp_path, phantoms, table, words):
    assert words in refusal(copy(phantoms, tmp_path / "own", table))
    assert not list(runtime.BUILD.rglob("*.part"))


def test_the_same_scan_with_two_truths_is_refused_and_with_one_is_counted(tmp_path, phantoms):
    folder = copy(phantoms, tmp_path / "own", "name,l3_mm\nstudy_0000.nii.gz,\ntwin.nii.gz,5\n")
    shutil.copy(folder / "ct" / "study_0000.nii.gz", folder / "ct" / "twin.nii.gz")
    assert "are the same scan, but their heights are not; keep the line that is right." in refusal(folder)
    (folder / "truth.csv").write_text("name,l3_mm\nstudy_0000.nii.gz,\ntwin.nii.gz,\n")
    assert "scans that are there twice: 1" in l3_scans.read_folder(folder).card()


def test_scans_that_cannot_be_read_are_named_and_counted(tmp_path, phantoms):
    folder = copy(
        phantoms, tmp_path / "own", "name,l3_mm\nstudy_0000.nii.gz,\nstudy_0001.nii.gz,\nstudy_0002.nii.gz,\n"
    )
    for number in (0, 2):
        path = folder / "ct" / f"study_000{number}.nii.gz"
        path.write_bytes(path.read_bytes()[: 600 + number])
    text = refusal(folder)
    assert ": it is cut short; " in text
    assert ", or take it out of truth.csv (1 more cannot be used: " in text
    assert not list(runtime.BUILD.rglob("*.*"))  # no half of a cache


def test_a_folder_of_slices_is_a_scan_too(tmp_path):
    save_series(tmp_path / "own" / "ct" / "someone", seed=1)
    (tmp_path / "own" / "truth.csv").write_text("name,l3_mm\nsomeone,20\n")
    data = l3_scans.read_folder(tmp_path / "own")
    prepared = l3_scans.prepare(data)
    assert prepared.levels[0, TARGET] == pytest.approx((36 - 20) / MM)  # ten slices of 4 mm, the highest at 36
    key = data.cases[0].key
    slices = sorted((tmp_path / "own" / "ct" / "someone").iterdir())
    slices[0].rename(slices[0].with_name("zzz.dcm"))  # names do not matter, content does
    assert l3_scans.read_folder(tmp_path / "own").cases[0].key == key
    slices[3].unlink()
    assert l3_scans.read_folder(tmp_path / "own").cases[0].key != key


def test_an_origin_that_is_wrong_is_refused(tmp_path, phantoms):
    folder = copy(phantoms, tmp_path / "own", "name,l3_mm\nstudy_0000.nii.gz,\n")
    for text in ("[]", '{"origin": "moon"}', '{"origin": "real", "keys": 3}'):
        (folder / "ORIGIN.json").write_text(text)
        assert "whether the scans are phantoms or real" in refusal(folder)


# The published file


def test_the_published_file_is_used_without_a_ct(tmp_path):
    arrays = content(count=5)
    for image, row in zip(arrays["images_f"], arrays["ydata"].item()["A"], strict=True):
        image[np.arange(len(image)) != row] //= 3
    written(tmp_path, arrays)
    data = l3_scans.read_folder(tmp_path)
    assert (data.origin, data.classes, len(data.cases)) == ("real", ("with L3",), 5)
    assert "annotators apart by 5.0 mm" in data.card()
    assert "SECRET" not in data.card() + repr([case.key for case in data.cases])
    prepared = l3_scans.prepare(data)
    for index, case in enumerate(data.cases):
        assert prepared.levels[index, TARGET] == pytest.approx(case.source.row * 2.5 / MM)
        assert prepared.known[index].tolist() == (np.arange(len(LEVELS)) == TARGET).tolist()
        marked = round(case.source.marks[0] * 2.5 / MM)  # where `content` has its brightest row
        assert abs(int(prepared.images[index, 0].max(axis=1).argmax()) - marked) <= 1
    with pytest.raises(ValueError, match="projections only"):
        data.read(0)


def test_the_published_file_is_split_and_cross_validated_by_patient(tmp_path):
    written(tmp_path, content(count=21))  # seven patients, three scans each
    data = l3_scans.read_folder(tmp_path)
    for split in [datasets.split(data, 1), *datasets.folds(data, 3, 1)]:
        keys = [{data.cases[i].key for i in part} for part in (split.train, split.valid, split.test)]
        assert not keys[0] & keys[1]
        assert not (keys[0] | keys[1]) & keys[2]
    tested = np.concatenate([split.test for split in datasets.folds(data, 3, 1)])
    assert sorted(tested) == list(range(21))


def test_another_export_of_the_same_patients_is_other_data(tmp_path):
    arrays = content(count=5)
    written(tmp_path, arrays)
    first = l3_scans.read_folder(tmp_path)
    kept = l3_scans.prepare(first).images.copy()
    arrays["images_f"][0] = arrays["images_f"][0] - np.int16(90)
    written(tmp_path, arrays)
    second = l3_scans.read_folder(tmp_path)
    assert second.hash != first.hash
    assert (l3_scans.prepare(second).images != kept).any()


# The cache


def test_the_cache_is_keyed_by_content_and_settings_and_never_among_the_data(tmp_path, phantoms, monkeypatch):
    folder = copy(phantoms, tmp_path / "own" / "l3", (phantoms / "truth.csv").read_bytes())
    before = sorted(folder.rglob("*"))
    data = l3_scans.open_l3(SMALL, tmp_path / "own")
    first = l3_scans.prepare(data)
    with monkeypatch.context() as patch:
        patch.setattr(l3_scans, "project", lambda _: pytest.fail("it was projected again"))
        again = l3_scans.prepare(l3_scans.open_l3(SMALL, tmp_path / "own"))
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert sorted(folder.rglob("*")) == before
    assert len(list((runtime.BUILD / "cache").iterdir())) == 1
    monkeypatch.setattr(l3_scans, "FINE", 6.0)
    assert l3_scans.prepare(data).images.shape[0] == len(data.cases)
    assert len(list((runtime.BUILD / "cache").iterdir())) == 2


def test_a_broken_off_projection_goes_on_and_ends_as_one_in_one_go(phantoms, monkeypatch):
    data = l3_scans.read_folder(phantoms)
    whole = l3_scans.prepare(data)
    project, calls = l3_scans.project, []

    def interrupted(volume):
        calls.append(volume)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return project(volume)

    monkeypatch.setattr(runtime, "BUILD", runtime.BUILD.with_name("again"))
    monkeypatch.setattr(l3_scans, "project", interrupted)
    with pytest.raises(KeyboardInterrupt):
        l3_scans.prepare(data)
    again = l3_scans.prepare(data)
    assert len(calls) == len(data.cases) + 1
    for one, other in zip(whole, again, strict=True):
        np.testing.assert_array_equal(one, other)
    heights = {images.any(axis=(0, 2)).sum() for images in again.images}
    assert len(heights) > 1  # scans of several heights, the shorter ones black below
