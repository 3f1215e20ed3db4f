"""`make study`: what is planned, what is kept of a run's answers, what is trained again and what is not."""

import dataclasses
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from scipy.special import expit
from test_records import answers
from test_tasks import Plain, Says, make_split, noise, prepared, thirds
from test_xray_job import NAMES, Knows, make_films, make_sets
from tiny import one_sentence

from helpers import (
    datasets,
    flaws,
    masks,
    overlap,
    records,
    runtime,
    siim_answers,
    tasks,
    triplets,
    variants,
    xray_answers,
)
from helpers.files import DataError
from helpers.schedules import Schedule
from tools import study

RUN = runtime.Run(seed=2020, size="quick", device="cpu", data_root=Path("nowhere"))


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")


# What is planned


def planned(names=None):
    """Names and seeds of all runs, in their order."""
    found = []
    for seed, make in study.plan(names or list(tasks.TASKS)):
        task = make(dataclasses.replace(RUN, seed=seed))
        assert task.run.seed == seed
        found.append((task.name, seed))
    return found


def test_every_mistake_and_its_sound_job_is_run_with_every_seed():
    runs = planned()
    assert study.SEEDS == (2020, 1, 2, 3, 4)
    for flaw in flaws.FLAWS:
        for seed in study.SEEDS:
            assert (flaw.task, seed) in runs
            assert ((f"{flaw.task}+{flaw.slug}", seed) in runs) == flaw.retrains


def test_nothing_is_run_twice_and_the_first_round_holds_every_comparison():
    runs = planned()
    assert max(Counter(runs).values()) == 1
    seeds = [seed for _, seed in runs]
    assert seeds == sorted(seeds, key=study.SEEDS.index)
    often = {name for name, seed in runs if seed == study.SEEDS[-1]}
    single = {name for name, seed in runs if seed == study.SEEDS[0]} - often
    assert {name for name, seed in runs} == often | single
    assert often >= set(tasks.TASKS)
    assert all(Counter(name for name, _ in runs)[name] == (1 if name in single else 5) for name in often | single)
    assert {"l3-sagittal-levels", "l3-both-levels", "l3-frontal-row", "pneumothorax-UNet"} <= single
    assert {"xray-34", "xray-50", "xray-101", "xray-152", "xray-34-plain"} <= single
    assert sum(name.startswith("ct-width") for name in single) >= 3
    assert sum(name.startswith("xray-width") for name in single) >= 3


def test_all_that_the_notebook_compares_is_run_under_its_name():
    first = {name for name, seed in planned() if seed == study.SEEDS[0] == variants.SEED}
    for group in variants.COMPARED.values():
        for name, variant in group.items():
            assert variant.make(RUN).name == name
            assert name in first


@pytest.mark.parametrize("name", tasks.TASKS)
def test_one_job_can_be_studied_alone(name):
    runs = planned([name])
    assert [run for run in planned() if run in runs] == runs
    assert all(run.partition("+")[0].partition("-")[0] == name for run, _ in runs)


# What is kept of the answers


def ct_task(split, volumes, **changes):
    """The job of notebook 01 on volumes of a few voxels, with a network as small."""
    facts = {"data": lambda: split.data, "prepare": lambda data: prepared(volumes)}
    facts |= {"divide": lambda data, seed, aside: split, "network": lambda classes=(): Plain(volumes[0].size, 4)}
    facts |= {"schedule": Schedule(2, 8, 1e-2)}
    return dataclasses.replace(tasks.ct(RUN), **facts | changes)


def test_of_chest_scans_the_training_set_is_asked_too_and_not_varied():
    split, volumes = thirds(), noise(side=6)
    task = ct_task(split, volumes)
    sets = task.sets(prepared(volumes), split)
    network = Says()
    kept = study.parts(task, split.data, split, sets, network, task.evaluate(network, sets))
    assert set(kept) == {"test", "train"}
    for name, where in (("test", split.test), ("train", split.train)):
        np.testing.assert_array_equal(kept[name]["truth"], split.data.labels[where])
        np.testing.assert_allclose(kept[name]["score"], expit(volumes[where, 0, 0, 0]), rtol=1e-6)
    flawed = next(flaw for flaw in flaws.FLAWS if flaw.slug == "no-relu").on(task)
    assert set(study.parts(flawed, split.data, split, sets, network, task.evaluate(network, sets))) == {"test"}


def test_whose_case_it_is_is_a_number_that_tells_nothing_else():
    films = make_films()
    films = films._replace(groups=np.array([f"Muster^Erika {i // 4}" for i in range(60)]))
    kept = study.columns(xray_answers.evaluate(Knows(), make_sets(films)))
    assert list(kept) == ["truth", "p_NORMAL", "p_B", "p_COVID", "group"]
    places = np.arange(20, 60) // 4
    np.testing.assert_array_equal(kept["group"][:, None] == kept["group"], places[:, None] == places)
    assert sorted(set(kept["group"].tolist())) == list(range(10))
    assert "Muster" not in str({name: list(column) for name, column in kept.items()})


def outlined(images, side, said=None):
    """Images by their masks, in a data set whose cases lie the other way about, and answers to them.

    Args:
        images: For each the masks, ``bool`` [rows, columns]; none for a healthy one.
        side: Of the squares that the network saw; masks are half as large, or as large as these.
        said: What was found, ``bool`` [images, side, side]; the truth when left out.

    Returns:
        A stand-in for `siim.MaskedRadiographs`, and an `Evaluation`.
    """
    shape = next(mask.shape for drawn in images for mask in drawn)
    runs = [tuple(masks.encode_rle(mask) for mask in drawn) or (" -1",) for drawn in images][::-1]
    data = SimpleNamespace(runs=runs, mask=lambda case: masks.decode_union(runs[case], shape))
    union = np.stack([np.any([np.zeros(shape, bool), *drawn], axis=0) for drawn in images])
    step = shape[0] // side
    union = union[:, ::step, ::step]
    said = union if said is None else said
    count = len(images)
    found = siim_answers.Evaluation(
        cases=np.arange(count)[::-1],
        score=np.linspace(0, 1, count),
        overlaps=overlap.measure(union, said),
        plain=overlap.measure(union, said),
        triplet=triplets.PLAIN,
        groups=np.arange(count),
        found=np.where(said, np.uint8(255), np.uint8(0)),
    )
    return data, found


def box(top, left, bottom, right):
    mask = np.zeros((32, 32), bool)
    mask[top:bottom, left:right] = True
    return mask


def test_the_last_mask_and_the_sum_of_masks_are_counted_as_small_pixels():
    one, two, three = box(4, 4, 12, 12), box(8, 8, 20, 12), box(20, 20, 28, 30)
    images = [[], [one], [one, two], [one, two, three], []]
    said = np.zeros((5, 16, 16), bool)
    said[:4, 2:5, 2:6] = True  # rows 4 to 10 and columns 4 to 12 of the whole image
    data, found = outlined(images, 16, said)
    kept = study.other_masks(data, found)
    pixels = {"one": 16, "two": 12, "three": 20}
    both = {"one": 12, "two": 2, "three": 0}
    named = [[], ["one"], ["one", "two"], ["one", "two", "three"], []]
    assert kept["last_pixels"].tolist() == [pixels[drawn[-1]] if drawn else 0 for drawn in named]
    assert kept["last_both"].tolist() == [both[drawn[-1]] if drawn else 0 for drawn in named]
    assert kept["summed_pixels"].tolist() == [sum(pixels[name] for name in drawn) for drawn in named]
    assert kept["summed_both"].tolist() == [sum(both[name] for name in drawn) for drawn in named]
    # of one mask both are the truth itself
    assert kept["last_pixels"][1] == kept["summed_pixels"][1] == found.overlaps.truth[1]
    assert kept["last_both"][1] == kept["summed_both"][1] == found.overlaps.both[1]
    parts = study.parts(SimpleNamespace(name="pneumothorax"), data, None, None, None, found)
    assert set(parts) == {"test"}
    assert parts["test"].keys() == study.columns(found).keys() | kept.keys()
    flawed = study.parts(SimpleNamespace(name="pneumothorax+bytes"), data, None, None, None, found)
    assert flawed["test"].keys() == study.columns(found).keys()


def test_a_network_of_one_hospital_is_asked_about_others(monkeypatch):
    films = make_films()
    found = xray_answers.evaluate(Knows(), make_sets(films))
    order = [2, 0, 1]  # classes come in another order there
    away = make_films(30, classes=[NAMES[i] for i in order])
    asked = []
    monkeypatch.setattr(
        study.xray_job, "open_external", lambda run, confounded: asked.append((run, confounded)) or "away"
    )
    monkeypatch.setattr(study.film_arrays, "prepare", lambda data, side: asked.append((data, side)) or away)
    task = SimpleNamespace(name="xray+hospital", run=RUN, shape=(1, 8, 8))
    kept = study.parts(task, None, None, None, Knows(), found)
    assert asked == [(RUN, True), ("away", 8)]
    assert set(kept) == {"test", "elsewhere"}
    assert kept["elsewhere"]["truth"] == [NAMES[order[label]] for label in away.labels]
    said = np.array([kept["elsewhere"][f"p_{name}"] for name in NAMES])
    np.testing.assert_array_equal(said.argmax(axis=0), away.labels)  # the brightness, which is not the class there
    for name in ("xray", "xray+copies", "xray-34"):
        assert set(study.parts(SimpleNamespace(name=name), None, None, None, None, found)) == {"test"}


# One run


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "FOLDER", tmp_path / "committed")
    monkeypatch.setattr(study, "LOCAL", tmp_path / "local")
    return tmp_path


class Counted:
    """Makes a small job, and counts how often it is trained."""

    def __init__(self, origin="phantom", **changes):
        self.split, self.volumes = thirds(60), noise(60, side=6)
        self.split = make_split(self.split.data.labels, self.split.train, self.split.valid, self.split.test, origin)
        self.changes, self.trained = changes, 0

    def __call__(self, run):
        def network(classes=()):
            self.trained += 1
            paddle.seed(run.seed)
            return Plain(6**3, 4)

        return ct_task(self.split, self.volumes, run=run, network=network, **self.changes)


def files_of(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_a_run_leaves_its_record_and_is_not_repeated_unless_asked(folders, capsys):
    make = Counted()
    assert study.study(make, RUN, again=False)
    name = "ct-quick-phantom-seed2020.json"
    assert files_of(folders) == {f"committed/{name}", f"committed/answers/{name}"}
    record = records.read(folders / "committed" / name)
    assert (record.task, record.flaw, record.seed) == ("ct", "", 2020)
    assert record.passport.data_hash == make.split.data.hash
    assert record.passport.split_hash == make.split.hash
    assert record.passport.peak_memory_gb is None  # it would be that of all runs before
    assert record.valid_cases == len(make.split.valid)
    assert [row["epoch"] for row in record.rows] == [1, 2]
    assert set(record.parts) == {"test", "train"}
    assert record.parts["test"]["truth"].tolist() == make.split.data.labels[make.split.test].tolist()
    assert "(kept)" not in capsys.readouterr().out

    before = {path: path.read_bytes() for path in folders.rglob("*.json")}
    assert not study.study(make, RUN, again=False)
    assert make.trained == 1
    assert f"ct, seed 2020: {record.passport.estimate} (kept)" in capsys.readouterr().out
    assert study.study(make, RUN, again=True)
    assert make.trained == 2
    assert {path: path.read_bytes() for path in folders.rglob("*.json")} == before  # the same run, the same files
    assert study.study(make, dataclasses.replace(RUN, seed=1), again=False)  # another seed is another run
    assert make.trained == 3


@pytest.mark.parametrize(("origin", "size"), [("real", "quick"), ("phantom", "class")])
def test_what_is_not_quick_on_phantoms_is_not_among_the_committed(folders, origin, size):
    assert study.study(Counted(origin), dataclasses.replace(RUN, size=size), again=False)
    name = f"ct-{size}-{origin}-seed2020.json"
    assert files_of(folders) == {f"local/{name}", f"local/answers/{name}"}


def test_a_training_stopped_by_hand_leaves_no_record(folders):
    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(ValueError, match="stopped by hand"):
        study.study(Counted(loss=stop), RUN, again=False)
    assert files_of(folders) == set()


def test_a_record_that_is_half_there_is_made_anew(folders, capsys):
    make = Counted()
    study.study(make, RUN, again=False)
    path = folders / "committed" / "ct-quick-phantom-seed2020.json"
    answers(path).unlink()
    assert study.study(make, RUN, again=False)
    assert make.trained == 2
    assert "answers" in capsys.readouterr().out
    assert records.read(path).seed == 2020


# The command


def command(monkeypatch, *arguments, tick=0.0):
    """Run the command with a clock that goes on by so many seconds a run; returns the runs that were begun."""
    begun, now = [], [1000.0]

    def run_one(make, run, again):
        now[0] += tick
        begun.append((make(run).name, run.seed, again))
        return True

    def look():
        now[0] += 0.001  # that takes a moment too
        return now[0]

    monkeypatch.setattr(study.runtime, "start", lambda seed: dataclasses.replace(RUN, seed=seed))
    monkeypatch.setattr(study, "study", run_one)
    monkeypatch.setattr(study.time, "monotonic", look)
    monkeypatch.setattr(sys, "argv", ["study", *arguments])
    study.main()
    return begun


def test_without_minutes_nothing_is_begun(monkeypatch, capsys):
    assert command(monkeypatch, "--minutes", "0") == []
    said = capsys.readouterr().out.strip()
    assert said == "0 minutes are over; the same command goes on from here."
    one_sentence(said)


def test_no_run_is_begun_when_the_time_is_up(monkeypatch, capsys):
    assert len(command(monkeypatch, "--minutes", "1", tick=25)) == 3  # at 0, 25 and 50 seconds
    assert "1 minutes are over" in capsys.readouterr().out
    assert len(command(monkeypatch, tick=60)) == study.MINUTES


def test_all_runs_of_the_jobs_named_are_made_and_again_is_passed_on(monkeypatch, capsys):
    assert command(monkeypatch, "l3") == [(*run, False) for run in planned(["l3"])]
    assert command(monkeypatch) == [(*run, False) for run in planned()]
    assert command(monkeypatch, "ct", "xray", "--again") == [(*run, True) for run in planned(["ct", "xray"])]
    assert "over" not in capsys.readouterr().out


def test_a_job_that_is_not_there_is_named(monkeypatch, capsys):
    with pytest.raises(SystemExit) as end:
        command(monkeypatch, "ct", "brain")
    assert end.value.code == 2
    assert "there is no study of brain; there are those of ct, l3, pneumothorax, xray" in capsys.readouterr().err


def test_data_that_cannot_be_used_cost_a_sentence(monkeypatch):
    def refuse(*_):
        raise DataError("scans", "it is empty", "add some")

    monkeypatch.setattr(datasets, "open_ct", refuse)
    monkeypatch.setattr(study.runtime, "start", lambda seed: RUN)
    monkeypatch.setattr(sys, "argv", ["study", "ct"])
    with pytest.raises(SystemExit) as end:
        study.main()
    assert end.value.code == "scans: it is empty; add some."
