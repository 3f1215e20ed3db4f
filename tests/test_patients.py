"""Whose picture it is: what file names tell, and what they do not."""

from pathlib import PurePath

import pytest

from helpers import patients


def find(*names):
    return patients.find_patients([PurePath(name) for name in names])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("VIRAL/person13_virus_2.jpeg", "VIRAL/person13_virus_35.jpeg"),
        ("VIRAL/person13_virus_2.jpeg", "BACTERIA/person13_bacteria_50.jpeg"),
        ("A/patient00012/study1/view1_frontal.jpg", "B/patient00012/study2/view1_frontal.jpg"),
        ("A/x-patient 7-1.png", "A/x-Patient 7-2.png"),
        ("No_findings/00001543_002.png", "Pneumonia/00001543_006.png"),
        ("NORMAL/IM-0003-0001.jpeg", "NORMAL/IM-0003-0001-0002.jpeg"),
        ("NORMAL/NORMAL2-IM-0035-0001.jpeg", "NORMAL/NORMAL2-IM-0035-0002.jpeg"),
        ("A/sub-S03047/ses-1/one.png", "A/sub-S03047/ses-2/two.png"),
        ("COVID/COVID-00003a.jpg", "COVID/COVID-00003b.jpg"),
        ("COVID/COVID-12.png", "COVID/COVID-12-b.png"),
        ("COVID/covid-19-pneumonia-24-day6.jpg", "COVID/covid-19-pneumonia-24-day7.jpg"),
        ("COVID/fig5-day0.jpeg", "COVID/fig5-day-10.jpeg"),
        ("COVID/jkms-35-e79-g001-l-a.jpg", "COVID/jkms-35-e79-g001-l-c.jpg"),
        ("COVID/covid-19-pneumonia-15-PA.jpg", "COVID/covid-19-pneumonia-15-lateral.jpg"),
    ],
)
def test_names_that_tell_of_one_patient(one, other):
    first, second = find(one, other)
    assert first == second
    assert first is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("COVID/COVID-12.png", "COVID/COVID-13.png"),
        ("NORMAL/NORMAL (12).png", "NORMAL/NORMAL (13).png"),
        ("VIRAL/Viral Pneumonia-1.png", "VIRAL/Viral Pneumonia-10.png"),
        ("VIRAL/person13_virus_2.jpeg", "VIRAL/person130_virus_2.jpeg"),
        ("VIRAL/person1_virus_2.jpeg", "VIRAL/person2_virus_2.jpeg"),
        ("No_findings/00001543_002.png", "No_findings/00001544_002.png"),
        ("NORMAL/IM-0003-0001.jpeg", "NORMAL/IM-0005-0001.jpeg"),
        ("NORMAL/IM-0003-0001.jpeg", "NORMAL/NORMAL2-IM-0003-0001.jpeg"),
        ("NORMAL/01.jpeg", "COVID/01.jpeg"),
        ("NORMAL/01a.jpeg", "COVID/01b.jpeg"),
        ("COVID/01.jpeg", "COVID/01.png"),
        ("A/image_a.png", "A/image_b.png"),
        ("A/39EE8E69-5801.jpeg", "A/5CBC2E94-5801.jpeg"),
        ("subject-matter/1.png", "subject-matter/2.png"),
        ("patient2020/1.png", "patient2020/2.png"),  # a class folder names no patient
        ("A/2020-01-02.png", "A/2020-01-03.png"),
        ("A/20200102_001.png", "A/20200102_002.png"),  # a day
    ],
)
def test_names_that_tell_of_two_or_of_nobody(one, other):
    first, second = find(one, other)
    assert first is None or first != second


def test_a_number_alone_is_nobody():
    assert find("COVID/COVID-19.png", "NORMAL/NORMAL (12).png", "A/07.jpg", "A/39EE8E69.png") == [None] * 4
