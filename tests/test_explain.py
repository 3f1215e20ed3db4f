"""Where a network looked: found in the right place on the right axis, and held against the truth."""

import numpy as np
import paddle
import pytest

from helpers import ct, explain


class Eye(paddle.nn.Layer):
    """Answers with the mean of one box of the volume, given as slices along x, y, z."""

    def __init__(self, box, gain=10.0):
        super().__init__()
        self.box, self.gain, self.modes = box, gain, []

    def forward(self, volumes):
        self.modes.append((self.training, paddle.is_grad_enabled()))
        x, y, z = self.box
        return self.gain * volumes[:, :, z, y, x].mean(axis=[2, 3, 4])


class Blind(paddle.nn.Layer):
    def forward(self, volumes):
        return paddle.full([len(volumes), 1], 3.0)


def planted(corner, side=4, shape=(26, 20, 16)):
    box = tuple(slice(start, start + side) for start in corner)
    volume = np.full(shape, 0.15, np.float32)
    volume[box] = 0.9
    return volume, box


def centre(heat):
    """The middle of the hottest voxels, x, y, z."""
    return np.argwhere(heat >= heat.max() * (1 - 1e-6)).mean(axis=0)


@pytest.mark.parametrize("corner", [(18, 4, 2), (2, 14, 4), (4, 2, 10), (22, 16, 12), (0, 0, 0)])
def test_the_planted_cube_is_found_on_every_axis(corner):
    volume, box = planted(corner)
    heat = explain.occlusion(Eye(box), volume, side=6, step=2)
    assert heat.shape == volume.shape
    assert abs(centre(heat) - (np.array(corner) + 1.5)).max() <= 2  # as fine as the cubes step
    assert heat[box].mean() > 5 * abs(heat).mean()


def test_the_heat_is_the_mean_fall_of_the_cubes_over_a_voxel():
    volume, box = planted((4, 4, 4), side=4, shape=(12, 12, 12))
    heat = explain.occlusion(Eye(box), volume, side=4, step=4)  # cubes that do not overlap: one covers it exactly
    assert heat[box] == pytest.approx(0.0, abs=1e-5)  # all of it alike: its own 25th percentile hides nothing
    volume[4:6, 4:8, 4:8] = 0.15  # now half of it is lung
    whole = 10 * volume[box].mean()
    heat = explain.occlusion(Eye(box), volume, side=4, step=4)
    assert heat[box] == pytest.approx(whole - 10 * 0.15, rel=1e-4)
    outside = np.ones(volume.shape, bool)
    outside[box] = False
    assert (heat[outside] == 0).all()


def test_evidence_against_is_negative():
    volume, box = planted((18, 4, 2))
    heat = explain.occlusion(Eye(box, gain=-10.0), volume, side=6, step=2)
    assert abs(centre(-heat) - np.array([19.5, 5.5, 3.5])).max() <= 2  # as fine as the cubes step
    assert heat.max() <= 1e-6


def test_a_network_that_ignores_its_input_gives_no_heat():
    volume, _ = planted((18, 4, 2))
    assert not explain.occlusion(Blind(), volume, side=6, step=4).any()


def test_no_voxel_is_left_out_where_steps_do_not_fit():
    volume = np.full((13, 11, 10), 0.5, np.float32)
    volume += np.random.default_rng(0).uniform(0, 0.3, volume.shape).astype(np.float32)
    whole = Eye((slice(None), slice(None), slice(None)))
    heat = explain.occlusion(whole, volume, side=5, step=4)
    assert (heat > 0).all()  # hiding any cube takes its denser part away


def test_air_is_skipped_without_a_change():
    volume, box = planted((18, 4, 2))
    volume[:10] = 0.02
    network = Eye(box)
    heat = explain.occlusion(network, volume, side=6, step=2)
    assert (heat[:4] == 0).all()
    assert abs(centre(heat) - np.array([19.5, 5.5, 3.5])).max() <= 2  # as fine as the cubes step


def test_it_asks_without_gradients_or_dropout_and_leaves_the_volume_alone():
    volume, box = planted((18, 4, 2))
    before, network = volume.copy(), Eye(box)
    network.train()
    volume.flags.writeable = False  # as a memory-mapped cache is
    explain.occlusion(network, volume, side=6, step=4)
    assert set(network.modes) == {(False, False)}
    assert np.array_equal(volume, before)


@pytest.mark.parametrize(
    ("shape", "side", "step", "words"),
    [
        ((1, 20, 20, 20), 6, 4, "three axes"),
        ((20, 20, 5), 6, 4, "side <= 5 is needed, but found step 4 and side 6"),
        ((20, 20, 20), 6, 7, "found step 7 and side 6"),
        ((20, 20, 20), 6, 0, "found step 0"),
    ],
)
def test_cubes_that_do_not_fit_or_leave_gaps_are_refused(shape, side, step, words):
    with pytest.raises(ValueError, match=words):
        explain.occlusion(Blind(), np.zeros(shape, np.float32), side, step)


# Back on the scan


@pytest.mark.parametrize("size", [(7, 5, 9), (3, 4, 5), (40, 6, 12)])
def test_on_scan_puts_corners_on_corners(size):
    heat = np.random.default_rng(0).random((6, 5, 8)).astype(np.float32)
    moved = explain.on_scan(heat, size)
    assert moved.shape == size
    ends = np.ix_([0, -1], [0, -1], [0, -1])
    assert moved[ends] == pytest.approx(heat[ends], abs=1e-6)
    assert moved.min() >= heat.min() - 1e-6
    assert moved.max() <= heat.max() + 1e-6


def test_on_scan_never_drops_the_last_plane():
    """With SciPy's default border, rounding zeroes the last plane for one pair of sizes in twenty."""
    for old in (46, 64, 128):
        heat = np.ones((old, 1, 1), np.float32)
        for new in range(2, 520):
            assert explain.on_scan(heat, (new, 1, 1)).min() > 0.999, (old, new)


def test_on_scan_undoes_the_preparation():
    x, y, z = np.meshgrid(*(np.linspace(0, 1, n) for n in (31, 23, 17)), indexing="ij")
    hu = (-1000 + 1400 * (0.5 * x + 0.3 * y + 0.2 * z)).astype(np.float32)
    prepared = ct.prepare(ct.Volume(hu, (1.0, 1.0, 2.0), "ramp", "RAS"), (12, 14, 10))
    back = explain.on_scan(prepared, hu.shape)
    assert back == pytest.approx((hu + 1000) / 1400, abs=1e-4)


# Held against the truth


def scan_of(hu):
    return ct.Volume(np.asarray(hu, np.float32), (1.0, 1.0, 1.0), "scan", "RAS")


def shares(sentence):
    return tuple(int(word) for word in sentence.split() if word.isdigit())


LUNG = scan_of(np.full((20, 10, 10), -800.0))


def test_heat_on_the_lesion_points_at_it():
    lesions = np.zeros((20, 10, 10), bool)
    lesions[12:16, 2:7, 3:8] = True  # 100 of 2,000
    assert shares(explain.pointing(lesions.astype(float), lesions, LUNG)) == (100, 5)
    assert shares(explain.pointing(1.0 - lesions, lesions, LUNG)) == (0, 5)


def test_heat_by_lot_points_by_chance():
    rng = np.random.default_rng(0)
    lesions = rng.random((60, 40, 40)) < 0.2
    scan = scan_of(np.full(lesions.shape, -800.0))
    found, chance = shares(explain.pointing(rng.random(lesions.shape), lesions, scan))
    assert chance == 20
    assert abs(found - chance) <= 2


@pytest.mark.parametrize("place", [0, -5])
def test_even_heat_points_nowhere(place):
    """A network that ignores its input must not look as if it had found a lesion that lies last in memory."""
    lesions = np.zeros((20, 10, 10), bool)
    lesions[place:] = True
    lesions[:place] = place == 0
    found, chance = shares(explain.pointing(np.zeros(lesions.shape), lesions, LUNG))
    assert found == chance


def test_only_lung_and_lesion_count():
    hu = np.full((20, 10, 10), -800.0)
    hu[:10] = 40.0  # the heart, and all the heat
    lesions = np.zeros(hu.shape, bool)
    lesions[18:] = True
    hu[18:, :5] = 20.0  # a lesion may be as dense as the heart, and still counts
    heat = np.zeros(hu.shape)
    heat[:10], heat[18:] = 9, 1
    assert shares(explain.pointing(heat, lesions, scan_of(hu))) == (100, 20)


def test_without_a_mask_or_a_lesion_it_says_so():
    heat = np.random.default_rng(0).random((20, 10, 10))
    assert "No mask" in explain.pointing(heat, None, LUNG)
    assert "no lesion" in explain.pointing(heat, np.zeros(heat.shape, bool), LUNG)
