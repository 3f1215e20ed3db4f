"""Infiltrates: each class by its place and texture, only in the lungs, and not by the mean density."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from helpers import anatomy, infiltrates, organs, voxels

GRID = voxels.Grid((60, 22, 58), (6.0, 10.0, 6.0), (-177.0, -105.0, -171.0))
COUNT = 12


@pytest.fixture(scope="module")
def chest():
    thorax = replace(anatomy.sample_thorax(np.random.default_rng(4)), mosaic=0.0, texture=6.0)
    return organs.draw_thorax(thorax, GRID)


def added(chest, finding, seed):
    """What a finding adds to the chest in HU."""
    drawing = replace(chest, hu=chest.hu.copy())
    infiltrates.change(finding)(drawing, np.random.default_rng(seed))
    return drawing.hu - chest.hu


@pytest.fixture(scope="module")
def beyond(chest):
    """What each illness adds to the same lungs beyond what healthy ones show: COUNT volumes a class."""
    return {
        finding: [added(chest, finding, seed) - added(chest, infiltrates.NORMAL, seed) for seed in range(COUNT)]
        for finding in infiltrates.CLASSES[1:]
    }


@pytest.mark.parametrize("finding", infiltrates.CLASSES)
def test_only_lungs_change_and_none_outweighs_soft_tissue(chest, finding):
    for seed in range(4):
        change = added(chest, finding, seed)
        assert (change[chest.lungs == 0] == 0).all()
        assert change.any()
        after = (chest.hu + change)[change > 1e-3]
        assert after.max() <= max(infiltrates.SOFT, chest.hu[change > 1e-3].max()) + 1e-2


@pytest.mark.parametrize("finding", infiltrates.CLASSES)
def test_the_same_generator_draws_the_same(chest, finding):
    np.testing.assert_array_equal(added(chest, finding, 1), added(chest, finding, 1))
    assert (added(chest, finding, 1) != added(chest, finding, 2)).any()


def test_an_unknown_class_is_refused_by_name():
    with pytest.raises(ValueError, match="'measles'"):
        infiltrates.change("measles")


def test_both_illnesses_lie_in_both_lungs(chest, beyond):
    right = chest.patient[0] > 0
    for finding, volumes in beyond.items():
        share = [volume[right].sum() / volume.sum() for volume in volumes]
        assert min(share) > 0.15, finding
        assert max(share) < 0.85, finding


def test_covid_lies_at_the_chest_wall_and_low_and_viral_pneumonia_everywhere(chest, beyond):
    def middle(volume, what):
        weight = np.maximum(volume, 0)
        return (weight * what).sum() / weight.sum()

    walls = {finding: [middle(volume, chest.wall) for volume in volumes] for finding, volumes in beyond.items()}
    heights = {finding: [middle(volume, chest.patient[2]) for volume in volumes] for finding, volumes in beyond.items()}
    spread = {finding: [np.mean(volume > 20) for volume in volumes] for finding, volumes in beyond.items()}
    covid, viral = infiltrates.COVID, infiltrates.VIRAL
    assert np.mean(walls[covid]) > np.mean(walls[viral]) + 0.08
    assert np.mean(heights[covid]) < np.mean(heights[viral]) - 10
    assert np.median(spread[viral]) > np.median(spread[covid])


def test_viral_pneumonia_is_finer_than_the_patches_of_covid(beyond):
    """What a blur of 2 cm leaves of the projection."""

    def coarse(volume):
        film = volume.sum(1)
        return ndimage.gaussian_filter(film, 2.5).std() / film.std()

    shares = {finding: np.mean([coarse(volume) for volume in volumes]) for finding, volumes in beyond.items()}
    assert shares[infiltrates.COVID] > shares[infiltrates.VIRAL] + 0.03


def test_healthy_lungs_differ_in_density_more_than_illness_adds(chest, beyond):
    """Between people, `anatomy` spreads healthy lungs by about 42 HU, and the incidental veil comes on top."""
    inside = chest.lungs > 0.5
    veils = [added(chest, infiltrates.NORMAL, seed)[inside].mean() for seed in range(30)]
    healthy = np.hypot(np.std(veils), 42)
    for finding, volumes in beyond.items():
        extra = np.mean([volume[inside].mean() for volume in volumes])
        assert 5 < extra < 1.6 * healthy, finding


def test_healthy_lungs_show_scars_and_bands_too(chest):
    inside = chest.lungs > 0.9
    spots = [(added(chest, infiltrates.NORMAL, seed)[inside] > 120).any() for seed in range(20)]
    assert np.mean(spots) > 0.4
