"""What a network is fed: the right voxels in the right order, varied by (seed, epoch, index) and nothing else."""

import numpy as np
import paddle
import pytest

from helpers.samples import Samples


def volumes(cases=6, shape=(5, 4, 3)):
    return np.random.default_rng(0).random((cases, *shape), dtype=np.float32)


def jitter(volume, rng):
    return volume + np.float32(rng.random())


def drawn(samples, order):
    return {int(item): samples[int(item)][0].copy() for item in order}


def test_an_item_is_channel_depth_height_width():
    data = volumes()
    for x, y, z in [(4, 0, 0), (0, 3, 0), (0, 0, 2), (1, 2, 1)]:
        data[3, x, y, z] = 9 + x
        volume, _ = Samples(data, [0, 0, 0, 1, 0, 0], where=[1, 3], seed=0)[1]
        assert volume.shape == (1, 3, 4, 5)
        assert volume[0, z, y, x] == 9 + x
    assert volume.flags.c_contiguous
    assert volume.dtype == np.float32


def test_labels_go_with_their_volumes_in_the_order_of_the_set():
    data, labels = np.arange(6, dtype=np.float32).reshape(6, 1, 1, 1), [0, 1, 1, 0, 0, 1]
    samples = Samples(data, labels, where=[5, 0, 3, 2], seed=0)
    assert len(samples) == 4
    assert [int(samples[i][0].item()) for i in range(4)] == [5, 0, 3, 2]
    assert [samples[i][1].tolist() for i in range(4)] == [[1.0], [0.0], [0.0], [1.0]]
    assert samples.targets.tolist() == [1, 0, 0, 1]


def test_variation_depends_on_seed_epoch_and_index_alone():
    data = volumes()
    samples = Samples(data, np.zeros(6), where=range(6), seed=4, vary=jitter)
    forward, backward = drawn(samples, range(6)), drawn(samples, reversed(range(6)))
    np.random.seed(1)  # noqa: NPY002 - the global state plays no part
    again = drawn(Samples(data, np.zeros(6), where=range(6), seed=4, vary=jitter), [3, 3, 1])
    for item in range(6):
        assert np.array_equal(forward[item], backward[item])
    assert np.array_equal(again[3], forward[3])
    # The index is that of the case, not its place in this set: another split varies the same scan alike.
    moved = Samples(data, np.zeros(6), where=[3, 1], seed=4, vary=jitter)
    assert np.array_equal(moved[0][0], forward[3])


def test_another_seed_epoch_or_case_varies_otherwise():
    data = np.zeros((4, 2, 2, 2), np.float32)
    shifts = set()
    for seed in (0, 1, 2):
        samples = Samples(data, np.zeros(4), where=range(4), seed=seed, vary=jitter)
        for epoch in range(3):
            samples.epoch = epoch
            shifts.update(float(samples[item][0].max()) for item in range(4))
    assert len(shifts) == 3 * 3 * 4


def test_an_epoch_can_be_drawn_again():
    samples = Samples(volumes(), np.zeros(6), where=range(6), seed=4, vary=jitter)
    samples.epoch = 7
    seventh = drawn(samples, range(6))
    samples.epoch = 8
    assert not np.array_equal(samples[2][0], seventh[2])
    samples.epoch = 7
    assert np.array_equal(samples[2][0], seventh[2])


def test_without_vary_nothing_moves():
    data = volumes()
    samples = Samples(data, np.zeros(6), where=[2], seed=4)
    for epoch in range(3):
        samples.epoch = epoch
        assert np.array_equal(samples[0][0][0], data[2].transpose(2, 1, 0))


def test_the_stored_volumes_are_never_written(tmp_path):
    np.save(tmp_path / "v.npy", volumes())
    stored = np.load(tmp_path / "v.npy", mmap_mode="r")
    samples = Samples(stored, np.zeros(6), where=range(6), seed=0)
    with pytest.raises(ValueError, match="read-only"):
        stored[0] = 0
    samples[0][0][:] = 7  # an item is the reader's own
    assert np.array_equal(stored, volumes())


@pytest.mark.parametrize("batch", [1, 4])
def test_a_loader_gives_the_same_batches(batch):
    samples = Samples(volumes(), [0, 1, 0, 1, 0, 1], where=[4, 1, 0, 5], seed=2, vary=jitter)
    loader = paddle.io.DataLoader(samples, batch_size=batch, shuffle=False, num_workers=0)
    loaded = np.concatenate([part.numpy() for part, _ in loader])
    assert np.array_equal(loaded, np.stack([samples[i][0] for i in range(4)]))
