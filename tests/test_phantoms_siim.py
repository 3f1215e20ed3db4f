"""Phantom radiographs: the same everywhere, as untidy as the published ones, their truth exact, and no toy."""

import re
from unittest import mock

import numpy as np
import pydicom
import pytest

from helpers import exposures, files, masks, phantoms_siim, runtime
from helpers.parallel import in_processes
from helpers.phantoms_siim import SIIMSettings, draw_siim, make_siim

SMALL = SIIMSettings(count=21, pixels=48)
DRAWN = SIIMSettings(pixels=64)
ILL = [n for n in range(126) if phantoms_siim._is_ill(n, DRAWN.seed)]
HEALTHY = [n for n in range(126) if n not in ILL][: len(ILL)]


def shown(pixels, facts):
    """Stored pixels as a viewer shows them, 0 to 1."""
    image = pixels / (4095 if pixels.dtype == np.uint16 else 255)
    return 1 - image if facts["photometric"] == "MONOCHROME1" else image


def measure(number):
    """Draw one radiograph; return the picture, the truth and the lungs' outline in it."""
    with mock.patch.object(exposures, "expose", side_effect=exposures.expose) as exposed:
        pixels, mask, facts = draw_siim(number, DRAWN)
    film, look, _ = exposed.call_args.args
    return shown(pixels, facts), mask, exposures.place(film.sides > 0, look), facts


@pytest.fixture(scope="module")
def radiographs():
    """28 ill and 28 healthy, drawn on all cores."""
    return list(in_processes(measure, ILL + HEALTHY))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_siim(tmp_path_factory.mktemp("data") / "siim", SMALL)


@pytest.fixture(scope="module")
def images(folder):
    """Every file's data set by its number, as its key tells."""
    paths = {files.hash_file(path): path for path in folder.rglob("*.dcm")}
    keys = files.read_json(folder / "ORIGIN.json")["keys"]
    numbers = {
        files.hash_bytes(repr((phantoms_siim.VERSION, SMALL, number)).encode()): number for number in range(SMALL.count)
    }
    return {numbers[key]: pydicom.dcmread(paths[content]) for content, key in keys.items()}


def area_under_curve(scores, flags):
    above = scores[flags][:, None] - scores[~flags]
    return np.mean((above > 0) + 0.5 * (above == 0))


@pytest.fixture(scope="module")
def drawn():
    """What some files of ``folder`` hold, among them four ill: pixels, mask and facts by number."""
    return {number: draw_siim(number, SMALL) for number in (1, 5, 11, 12, 17, 20)}


# What is drawn


def test_an_image_is_the_same_alone_and_in_parallel(radiographs):
    for place in (0, 29):
        image, mask, _, facts = measure((ILL + HEALTHY)[place])
        assert image.tobytes() == radiographs[place][0].tobytes()
        assert mask.tobytes() == radiographs[place][1].tobytes()
        assert facts == radiographs[place][3]


def test_the_ill_have_air_in_the_lungs_outline_and_the_healthy_none(radiographs):
    for image, mask, lungs, facts in radiographs:
        assert mask.any() == (facts["side"] is not None) == (facts["depth"] is not None)
        assert not (mask & ~lungs).any()
        assert 0 <= image.min() < 0.5 < image.max() <= 1


def test_two_in_nine_are_ill_whatever_the_seed():
    for seed in (1, 2020):
        flags = [phantoms_siim._is_ill(number, seed) for number in range(90)]
        assert sum(flags) == 20
        assert len({tuple(flags[n : n + 9]) for n in range(0, 90, 9)}) > 3


def test_no_threshold_inside_the_lungs_finds_the_air(radiographs):
    """The best one, chosen on these very images, from both sides."""
    best = 0.0
    for level in np.linspace(0.02, 0.98, 40):
        for sign in (1, -1):
            dices = []
            for image, mask, lungs, _ in radiographs[: len(ILL)]:
                found = lungs & (sign * image < sign * level)
                dices.append(2 * (found & mask).sum() / (found.sum() + mask.sum()))
            best = max(best, np.mean(dices))
    assert 0.05 < best < 0.30


@pytest.mark.parametrize("rule", [np.mean, np.std], ids=["mean", "deviation"])
def test_brightness_and_contrast_of_the_lungs_do_not_tell_who_is_ill(radiographs, rule):
    scores = np.array([rule(image[lungs]) for image, _, lungs, _ in radiographs])
    flags = np.arange(len(radiographs)) < len(ILL)
    assert 0.28 < area_under_curve(scores, flags) < 0.72  # 28 against 28: 0.5 give or take 0.15 by chance


def test_sizes_reach_from_slivers_to_large(radiographs):
    sizes = np.array([mask.sum() / lungs.sum() for _, mask, lungs, _ in radiographs[: len(ILL)]])
    assert sizes.min() < 0.06
    assert 0.05 < np.median(sizes) < 0.2
    assert sizes.max() > 0.15


# Files


def test_it_is_laid_out_like_the_published_set(folder, images):
    assert {path.name for path in folder.iterdir()} == {"dicom-images-train", "train-rle.csv", "ORIGIN.json"}
    paths = list(folder.glob("dicom-images-train/*/*/*.dcm"))
    assert len(paths) == len(images) == SMALL.count
    for image in images.values():
        path = f"{image.StudyInstanceUID}/{image.SeriesInstanceUID}/{image.SOPInstanceUID}.dcm"
        assert (folder / "dicom-images-train" / path).is_file()
    assert (folder / "train-rle.csv").read_text().startswith("ImageId, EncodedPixels\n")
    assert files.read_json(folder / "ORIGIN.json")["origin"] == "phantom"


def test_files_hold_the_drawn_pixels(images, drawn):
    seen = set()
    for number, (pixels, _, facts) in drawn.items():
        image = images[number]
        seen |= {facts["syntax"], facts["photometric"]}
        assert image.PhotometricInterpretation == facts["photometric"]
        error = np.abs(image.pixel_array.astype(int) - pixels)
        assert error.mean() < 4 if facts["syntax"] == "jpeg" else not error.any()
    assert seen == {"jpeg", "raw", "12 bit", "MONOCHROME1", "MONOCHROME2"}


def test_the_union_of_an_images_rows_is_its_mask(folder, images, drawn):
    table = masks.read_table(folder / "train-rle.csv").images
    for number, (_, truth, _) in drawn.items():
        texts = table[images[number].SOPInstanceUID]
        assert (masks.decode_union(texts, truth.shape) == truth).all()
    assert sum(truth.any() for _, truth, _ in drawn.values()) == 4


def test_a_mask_in_several_rows_is_whole_and_may_overlap():
    mask = np.zeros((40, 40), bool)
    mask[5:30, 8:20] = True
    written = [phantoms_siim._texts(mask, np.random.default_rng(seed)) for seed in range(60)]
    areas = [sum(masks.area(masks.decode_rle(text, mask.shape)) for text in texts) for texts in written]
    assert all((masks.decode_union(texts, mask.shape) == mask).all() for texts in written)
    assert {len(texts) for texts in written} == {1, 2}
    assert max(areas) > mask.sum() == min(areas)


def test_the_table_is_as_untidy_as_the_published_one(folder, images):
    lines = (folder / "train-rle.csv").read_text().splitlines()[1:]
    assert {line.split(",")[1] for line in lines} >= {"-1", " -1"}
    named, here = {line.split(",")[0] for line in lines}, {image.SOPInstanceUID for image in images.values()}
    assert here - named == {images[13].SOPInstanceUID}
    assert len(named - here) == 1


def test_two_images_of_one_patient_share_who_it_is(images):
    first, second, another = images[14], images[15], images[16]
    for tag in ("PatientID", "PatientName", "PatientSex", "PatientAge"):
        assert first[tag].value == second[tag].value
    assert first.PatientID != another.PatientID
    assert first.StudyInstanceUID != second.StudyInstanceUID
    assert len({image.PatientID for image in images.values()}) == SMALL.count - 1


def test_headers_are_those_of_a_hospital(images):
    ages = {str(image.PatientAge) for image in images.values()}
    assert any(age.endswith("Y") and len(age) == 4 for age in ages)
    assert any(age.isdecimal() for age in ages)
    assert {image.PatientSex for image in images.values()} == {"F", "M"}
    assert {image.ViewPosition for image in images.values()} == {"PA", "AP"}
    for image in images.values():
        assert image.file_meta.MediaStorageSOPInstanceUID == image.SOPInstanceUID
        assert 250 < float(image.PixelSpacing[0]) * image.Rows < 480
        assert "^" in str(image.PatientName)


def test_same_settings_same_bytes_another_seed_other_people(tmp_path):
    def content(name, seed):
        made = make_siim(tmp_path / name, SIIMSettings(count=2, pixels=48, seed=seed))
        return {path.relative_to(made): path.read_bytes() for path in made.rglob("*") if path.is_file()}

    assert content("one", 5) == content("two", 5)
    assert not set(content("three", 6)) & {path for path in content("four", 5) if path.suffix == ".dcm"}


def test_it_is_made_once_and_whole(folder, tmp_path, monkeypatch):
    with pytest.raises(files.DataError, match="it is there already"):
        make_siim(folder, SMALL)
    monkeypatch.setattr(phantoms_siim, "_write", mock.Mock(side_effect=OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        make_siim(tmp_path / "siim", SIIMSettings(count=2, pixels=48))
    assert not list(tmp_path.iterdir())


def test_the_names_and_ids_in_the_files_are_in_no_committed_notebook_passport_or_page():
    """Every phantom carries a made-up name and id, as real files do: the committed run read them, and kept them in."""
    root = runtime.ROOT
    pages = [*(root / "notebooks").rglob("*.ipynb"), *(root / "notebooks").rglob("*.json"), root / "README.md"]
    assert len(pages) > 4
    for page in pages:
        text = page.read_text(encoding="utf8").lower()
        assert [name for name in phantoms_siim.FAMILIES if name.lower() in text] == []
        assert re.findall(r"\bp\d{7}-\d+", text) == []
