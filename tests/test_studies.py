"""The results of `make study` as a notebook shows them: those of one task, or how to make them."""

from dataclasses import replace

from helpers import passports, studies


def test_a_study_is_a_table_of_its_own_task_or_says_how_to_make_it(tmp_path):
    assert "`make study`" in studies.study("l3", tmp_path)
    facts = {"metric": "within 15 mm", "value": 0.9, "interval": (0.8, 0.95), "counts": (54, 60), "published": None}
    facts |= {"baseline": ("constant row", 0.1), "data": "phantom", "data_hash": "d", "split_hash": "s", "seed": 2020}
    facts |= {"run": "class", "device": "cpu", "versions": {}, "seconds_per_step": 1.0, "minutes": 1.0}
    for task in ("l3", "l3-both-levels", "l3+edge", "ct", "xray-34", "xray-34-plain", "xray-340"):
        passport = passports.Passport(task=task, peak_memory_gb=1.0, **facts)
        passports.write(passport, tmp_path / f"{task}.json")
        passports.write(replace(passport, seed=1), tmp_path / f"{task}-seed1.json")
    for task, names in (("l3", ["l3", "l3-both-levels"]), ("xray-34", ["xray-34", "xray-34-plain"])):
        assert sorted(line.split()[0] for line in studies.study(task, tmp_path).splitlines()[1:]) == names
    (tmp_path / "l3.json").write_text("{}")
    assert "l3.json" in studies.study("l3", tmp_path)
    assert "54 of 60" in studies.study("l3", tmp_path)
