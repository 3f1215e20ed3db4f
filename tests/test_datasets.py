"""Splits that nothing but content and seed can change, and caches that are whole, current and apart from the data."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import SHAPE, fill, one_sentence, save, save_series, voxels

from helpers import ct, datasets, files, phantoms, runtime, scans
from helpers.files import DataError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "ROOT", tmp_path / "course")
    monkeypatch.setattr(runtime, "BUILD", tmp_path / "course" / "build")


def imagined(normal: int, ill: int, copies: int = 0) -> scans.ScanFolder:
    """Cases without files; the first ``copies`` of each class are there twice."""
    keys = [
        (files.hash_bytes(f"{label} {n}".encode()), label) for label, m in ((0, normal), (1, ill)) for n in range(m)
    ]
    keys += [key for label in (0, 1) for key in [key for key in keys if key[1] == label][:copies]]
    cases = [scans.Case(Path(f"{n}.nii.gz"), label, key) for n, (key, label) in enumerate(sorted(keys))]
    return scans.ScanFolder("chest CT", Path("."), "real", "none", "none", ("CT-0", "CT-23"), tuple(cases))


def keys(split: datasets.Split) -> list[set[str]]:
    return [{split.data.cases[index].key for index in part} for part in (split.train, split.valid, split.test)]


@settings(max_examples=60, deadline=None)
@given(normal=st.integers(1, 70), ill=st.integers(1, 70), copies=st.integers(0, 4), seed=st.integers(0, 99))
def test_a_split_is_a_stratified_partition_that_keeps_copies_together(normal, ill, copies, seed):
    data = imagined(normal, ill, copies)
    split = datasets.split(data, seed)
    np.testing.assert_array_equal(
        np.sort(np.concatenate([split.train, split.valid, split.test])), range(len(data.cases))
    )
    train, valid, test = keys(split)
    assert train.isdisjoint(valid | test)
    assert valid.isdisjoint(test)
    assert "scans in more than one set: 0" in split.card()
    for label, count in ((0, normal), (1, ill)):
        own = {case.key for case in data.cases if case.label == label}
        sizes = [len(part & own) for part in (train, valid, test)]
        # A class of three gives one scan to each set, 1.1 fewer to training than its share: no set is further off.
        assert all(abs(size - share * count) < 1.2 for size, share in zip(sizes, datasets.FRACTIONS, strict=True))
        assert sizes[0] >= 1


@dataclass(frozen=True)
class Film:
    """A case of which several belong to one patient."""

    key: str
    group: str
    label: int


@dataclass(frozen=True)
class Films:
    """As many films as are given, of three classes."""

    cases: tuple[Film, ...]
    classes = ("normal", "viral", "covid")
    unit = "image"

    @property
    def labels(self) -> np.ndarray:
        return np.array([case.label for case in self.cases])


def films(seed: int, patients: int) -> Films:
    """Patients with one to five films each, some of which changed their class in between."""
    rng = np.random.default_rng(seed)
    cases = []
    for patient in range(patients):
        label = int(rng.integers(3))
        for number in range(rng.integers(1, 6)):
            changed = (label + 1) % 3 if patient % 7 == 0 and number == 4 else label
            cases.append(Film(f"{patient}/{number}", f"patient {patient}", changed))
    return Films(tuple(cases))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 99), patients=st.integers(30, 80))
def test_no_patient_straddles_two_sets_nor_two_folds(seed, patients):
    data = films(seed, patients)
    parts = [datasets.split(data, seed), *datasets.folds(data, 3, seed)]
    for part in parts:
        sets = [{data.cases[i].group for i in where} for where in (part.train, part.valid, part.test)]
        assert sum(map(len, sets)) == len(set().union(*sets)) == patients
        assert "patients or copies in more than one set: 0" in part.card()
        everything = np.sort(np.concatenate([part.train, part.valid, part.test]))
        np.testing.assert_array_equal(everything, range(len(data.cases)))
    tested = np.concatenate([part.test for part in parts[1:]])
    np.testing.assert_array_equal(np.sort(tested), range(len(data.cases)))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 99), patients=st.integers(30, 80))
def test_one_case_of_each_class_is_kept_aside_and_nothing_else_moves_without_need(seed, patients):
    data = films(seed, patients)
    part = datasets.split(data, seed, aside=True)
    assert [data.cases[i].label for i in part.aside] == sorted({data.cases[i].label for i in part.aside})
    used = {data.cases[i].group for i in np.concatenate([part.train, part.valid, part.test])}
    assert not used & {data.cases[i].group for i in part.aside}
    assert len(part.aside) + sum(map(len, (part.train, part.valid, part.test))) == len(data.cases)
    assert ("kept aside" in part.card()) == (len(part.aside) > 0)
    assert len(datasets.split(data, seed).aside) == 0


def test_a_class_of_three_spares_none():
    assert [len(datasets.split(imagined(n, 20), 0, aside=True).aside) for n in (1, 3, 4)] == [1, 1, 2]


def test_a_split_by_images_would_part_patients():
    """So the test above can fail: what keeps them together is the group, nothing else."""
    data = films(1, 50)
    alone = Films(tuple(replace(case, group=case.key) for case in data.cases))
    part = datasets.split(alone, 1)
    sets = [{data.cases[i].group for i in where} for where in (part.train, part.valid, part.test)]
    assert len(sets[0] & sets[2]) > 10
    assert "images in more than one set: 0" in part.card()


@pytest.mark.parametrize(("count", "sizes"), [(1, [1, 0, 0]), (2, [1, 0, 1]), (3, [1, 1, 1]), (4, [2, 1, 1])])
def test_classes_of_a_few_scans_train_first_and_then_test(count, sizes):
    split = datasets.split(imagined(count, 20), seed=0)
    assert [int(np.sum(split.data.labels[part] == 0)) for part in (split.train, split.valid, split.test)] == sizes


def test_another_seed_gives_another_split_and_another_hash():
    data = imagined(20, 20)
    splits = [datasets.split(data, seed) for seed in range(8)]
    assert len({split.hash for split in splits}) == 8
    assert len({frozenset(keys(split)[2]) for split in splits}) == 8
    assert datasets.split(data, 3).hash == splits[3].hash


def test_a_case_is_as_likely_to_be_tested_as_any_other():
    data = imagined(10, 10)
    tested = np.zeros(20)
    for seed in range(400):
        tested[datasets.split(data, seed).test] += 1
    assert tested.sum() == 400 * 4
    assert np.abs(tested - 80).max() < 5 * np.sqrt(400 * 0.2 * 0.8)


def test_fractions_are_those_asked_for():
    split = datasets.split(imagined(40, 20), 0, fractions=(0.5, 0.2, 0.3))
    counts = [np.bincount(split.data.labels[part]).tolist() for part in (split.train, split.valid, split.test)]
    assert counts == [[20, 10], [8, 4], [12, 6]]
    with pytest.raises(ValueError, match=r"must sum to 1, but \(0.5, 0.2, 0.2\) sum to 0.9"):
        datasets.split(imagined(4, 4), 0, fractions=(0.5, 0.2, 0.2))


def test_a_split_depends_on_content_and_not_on_names_classes_or_listing(tmp_path, monkeypatch):
    data = scans.read_folder(fill(tmp_path / "one", {"CT-0": 9, "CT-23": 7}))
    names = {"CT-0": "sound", "CT-23": "ill"}  # the class that came first comes last
    for number, case in enumerate(data.cases):
        target = tmp_path / "two" / names[case.path.parent.name] / f"{(number * 5) % 16:02d}.nii.gz"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(case.path, target)
    listed = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda path: sorted(listed(path), reverse=True))
    other = scans.read_folder(tmp_path / "two")
    assert other.classes == ("ill", "sound")
    assert keys(datasets.split(other, 5)) == keys(datasets.split(data, 5))
    for one, two in zip(datasets.folds(other, 3, 5), datasets.folds(data, 3, 5), strict=True):
        assert keys(one) == keys(two)


def test_a_new_scan_leaves_the_order_of_the_others_alone():
    """More data may move the borders between the sets, but never shuffles the cases anew."""
    small, large = (datasets.split(imagined(count, count), seed=1) for count in (50, 51))
    moved = sum(len(one - two) for one, two in zip(keys(small), keys(large), strict=True))
    assert moved <= 6


def test_the_hash_of_a_split_tells_every_two_splits_apart():
    data = imagined(3, 3)
    parts = [([0, 5], [], [1, 2, 3, 4]), ([0], [5], [1, 2, 3, 4]), ([0], [], [1, 2, 3, 4, 5])]
    parts += [([], [0, 5], [1, 2, 3, 4]), ([1, 2, 3, 4], [], [0, 5]), ([0, 5], [1], [2, 3, 4])]
    found = {datasets.Split(*(np.array(part, int) for part in three), data).hash for three in parts}
    assert len(found) == len(parts)


def test_the_card_of_a_split_counts_an_overlap_if_there_is_one():
    data = imagined(5, 5, copies=1)
    twins = [index for index, case in enumerate(data.cases) if [c.key for c in data.cases].count(case.key) == 2]
    one, two = (np.array([index]) for index in twins[:2])
    rest = np.setdiff1d(range(len(data.cases)), twins[:2])
    card = datasets.Split(one, two, rest, data).card()
    assert "scans in more than one set: 1" in card
    counts = [[int(np.sum(data.labels[part] == label)) for label in (0, 1)] for part in (one, two, rest)]
    assert [list(map(int, line.split()[1:])) for line in card.splitlines()[1:4]] == [[sum(c), *c] for c in counts]


@settings(max_examples=40, deadline=None)
@given(count=st.integers(2, 6), more=st.integers(0, 20), copies=st.integers(0, 2), seed=st.integers(0, 99))
def test_folds_test_each_case_once_and_always_leave_both_classes_to_train_on(count, more, copies, seed):
    data = imagined(count, count + more, copies)
    folds = datasets.folds(data, count, seed)
    assert len(folds) == count
    np.testing.assert_array_equal(np.sort(np.concatenate([fold.test for fold in folds])), range(len(data.cases)))
    for fold in folds:
        np.testing.assert_array_equal(
            np.sort(np.concatenate([fold.train, fold.valid, fold.test])), range(len(data.cases))
        )
        train, valid, test = keys(fold)
        assert train.isdisjoint(valid | test)
        assert valid.isdisjoint(test)
        for label, scans_of_class in ((0, count), (1, count + more)):
            assert label in data.labels[fold.train]
            own = {case.key for case in data.cases if case.label == label}
            assert abs(len(test & own) - scans_of_class / count) < 1
            left = len(own - test)
            assert len(valid & own) == (max(1, round(left / 8)) if left > 1 else 0)


@pytest.mark.parametrize("count", [-1, 0, 1, 4])
def test_folds_that_cannot_be_are_refused(count):
    with pytest.raises(ValueError, match=f"3 scans of CT-0 cannot be divided into {count} folds"):
        datasets.folds(imagined(3, 9), count, seed=0)


def state(folder: Path) -> dict:
    return {
        path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in [folder, *folder.rglob("*")]
    }


def caches() -> list[Path]:
    return sorted((runtime.BUILD / "cache").iterdir()) if runtime.BUILD.exists() else []


def test_prepared_scans_are_what_load_scan_gives_in_the_order_of_the_cases(tmp_path):
    root = fill(tmp_path / "scans", {"CT-0": 2, "CT-23": 1})
    save_series(root / "CT-23" / "series", 40)
    data = scans.read_folder(root)
    prepared = datasets.prepare(data, (9, 8, 7))
    for index, case in enumerate(data.cases):
        np.testing.assert_array_equal(prepared.volumes[index], ct.load_scan(case.path, (9, 8, 7)))
    assert prepared.volumes.dtype == np.float32
    assert isinstance(prepared.volumes, np.memmap)
    assert not prepared.volumes.flags.writeable


def test_the_spacing_of_a_prepared_scan_keeps_its_extent(tmp_path):
    root = fill(tmp_path / "scans", {"CT-0": 1, "CT-23": 1})
    save(root / "CT-0" / "other.nii.gz", voxels(9, (20, 6, 31)), spacing=(0.7, 1.9, 5.0))
    data = scans.read_folder(root)
    prepared = datasets.prepare(data, (46, 9, 11))
    for index in range(3):
        scan = data.read(index)
        extent = np.array(scan.spacing) * (np.array(scan.hu.shape) - 1)
        np.testing.assert_allclose(np.array(prepared.spacing(index)) * (45, 8, 10), extent, rtol=1e-5)


def test_the_cache_lies_under_build_and_nothing_is_written_among_the_data(tmp_path):
    root = fill(tmp_path / "scans", {"CT-0": 2, "CT-23": 2})
    before = state(root)
    for path in (root, *root.iterdir()):
        path.chmod(0o555)
    try:
        datasets.prepare(scans.read_folder(root), SHAPE)
    finally:
        for path in (root, *root.iterdir()):
            path.chmod(0o755)
    assert state(root) == before
    assert len(caches()) == 1


def test_the_second_call_reads_no_scan(tmp_path, monkeypatch):
    data = scans.read_folder(fill(tmp_path / "scans", {"CT-0": 2, "CT-23": 2}))
    first = datasets.prepare(data, SHAPE)
    monkeypatch.setattr(ct, "read_volume", lambda path: pytest.fail("a scan was read again"))
    second = datasets.prepare(data, SHAPE)
    np.testing.assert_array_equal(first.volumes, second.volumes)
    np.testing.assert_array_equal(first.spacings, second.spacings)


def test_another_shape_and_other_content_have_a_cache_of_their_own(tmp_path):
    root = fill(tmp_path / "scans", {"CT-0": 2, "CT-23": 2})
    first = datasets.prepare(scans.read_folder(root), SHAPE)
    assert datasets.prepare(scans.read_folder(root), (5, 5, 5)).volumes.shape == (4, 5, 5, 5)
    assert len(caches()) == 2
    save(root / "CT-0" / "scan0.nii.gz", voxels(88))  # the same name, another scan
    data = scans.read_folder(root)
    changed = datasets.prepare(data, SHAPE)
    assert len(caches()) == 3
    index = next(i for i, case in enumerate(data.cases) if case.path == root / "CT-0" / "scan0.nii.gz")
    np.testing.assert_array_equal(changed.volumes[index], ct.load_scan(data.cases[index].path, SHAPE))
    assert not any(np.array_equal(volume, changed.volumes[index]) for volume in first.volumes)


def test_an_interrupted_preparation_goes_on_and_ends_as_one_in_one_go(tmp_path, monkeypatch):
    data = scans.read_folder(fill(tmp_path / "scans", {"CT-0": 2, "CT-23": 2}))
    prepare, calls = ct.prepare, []

    def interrupted(scan, shape):
        calls.append(scan)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return prepare(scan, shape)

    monkeypatch.setattr(ct, "prepare", interrupted)
    with pytest.raises(KeyboardInterrupt):
        datasets.prepare(data, SHAPE)
    assert [path.suffix for path in caches()] == [".part"]
    volumes = datasets.prepare(data, SHAPE).volumes
    assert len(calls) == 5  # two, the one broken off, and the last two
    for index, case in enumerate(data.cases):
        np.testing.assert_array_equal(volumes[index], ct.load_scan(case.path, SHAPE))
    assert [path.suffix for path in caches()] == [""]


@pytest.mark.parametrize("bad", [1, 3])
def test_a_scan_that_cannot_be_used_is_named_and_the_others_are_counted(tmp_path, bad):
    root = fill(tmp_path / "scans", {"CT-0": 3, "CT-23": 3})
    for number in range(bad):
        path = root / "CT-0" / f"scan{number}.nii.gz"
        path.write_bytes(path.read_bytes()[: 600 + number])
    with pytest.raises(DataError) as caught:
        datasets.prepare(scans.read_folder(root), SHAPE)
    one_sentence(str(caught.value))
    assert caught.value.path.parent == root / "CT-0"
    assert "cut short" in caught.value.fault
    assert "copy or download it again, or move it out of the folder" in caught.value.remedy
    assert ("(2 more cannot be used: python -m helpers.check lists them all)" in caught.value.remedy) == (bad == 3)
    assert caches() == []


def test_phantoms_are_drawn_once_and_know_their_lesions(tmp_path, monkeypatch):
    settings = phantoms.CTSettings(healthy=1, ill=1, matrix=48, seed=4)
    root = tmp_path / "empty"
    root.mkdir()
    data = datasets.open_ct(settings, root)
    assert data.origin == "phantom"
    assert "2 phantom scans, 1 CT-0 and 1 CT-23" in data.card()
    assert data.root.parent == runtime.ROOT / "data" / "phantoms"
    ill = int(np.flatnonzero(data.labels == 1)[0])
    assert data.lesions(ill).any()
    assert not data.lesions(1 - ill).any()
    monkeypatch.setattr(phantoms, "make_ct", lambda folder, *_: folder)
    assert datasets.open_ct(settings, root).hash == data.hash
    with pytest.raises(DataError):  # other settings, other phantoms: these were not drawn yet
        datasets.open_ct(phantoms.CTSettings(healthy=1, ill=1, matrix=48, seed=5), root)


def test_real_scans_that_cannot_be_used_are_never_replaced_by_phantoms(tmp_path):
    root = fill(tmp_path / "root", {"mosmed/CT-0": 1, "mosmed/CT-23": 0})
    with pytest.raises(DataError, match="CT-23: there is no scan"):
        datasets.open_ct(phantoms.CTSettings(healthy=1, ill=1, matrix=48), root)
    assert not (runtime.ROOT / "data").exists()
