"""Where a network looked: hide one part of a scan after the other, or weigh the maps of a network's last block.

Used by notebooks 01 (`occlusion`) and 04 (`gradcam`).
"""

import cv2
import numpy as np
import paddle
from scipy import ndimage

from helpers import ct
from helpers.residuals import ResNet


def occlusion(network: paddle.nn.Layer, volume: np.ndarray, side: int = 10, step: int = 6) -> np.ndarray:
    """Hide one cube of the scan after the other, and record how far the log-odds of class 1 fall.

    A hidden cube is filled with its own 25th percentile: in the lung that is about the density of its air-filled part,
    so that hiding takes lesions and vessels away and does not look like a new lesion.

    Args:
        network: A trained `CNN3D`.
        volume: ``float32`` [x, y, z] in [0, 1], prepared as for training.
        side: Of the cube, in voxels.
        step: From one cube to the next, in voxels.

    Returns:
        ``float32`` [x, y, z]: the mean fall over the cubes that covered a voxel. Positive where the network found
        evidence for class 1.

    Raises:
        ValueError: If the volume has not three axes, or the cubes do not fit into it or leave gaps.

    Example:
        >>> class Mean(paddle.nn.Layer):
        ...     def forward(self, volumes):
        ...         return volumes[:, :, 4:6, 4:6, 4:6].mean(axis=[2, 3, 4])
        >>> volume = np.zeros((12, 12, 12), "float32")
        >>> volume[4:6, 4:6, 4:6] = 1
        >>> heat = occlusion(Mean(), volume, side=4, step=2)
        >>> tuple(int(i) for i in np.unravel_index(heat.argmax(), heat.shape))
        (4, 4, 4)

    Taught in notebook 01. Source: Zeiler and Fergus 2014.
    """
    if volume.ndim != 3:
        raise ValueError(f"a volume has three axes, but this one has the shape {volume.shape}")
    if not 0 < step <= side <= min(volume.shape):
        raise ValueError(f"0 < step <= side <= {min(volume.shape)} is needed, but found step {step} and side {side}")
    starts = [sorted({*range(0, length - side, step), length - side}) for length in volume.shape]
    boxes = [tuple(slice(start, start + side) for start in corner) for corner in _corners(starts)]
    total, count = np.zeros(volume.shape, np.float32), np.zeros(volume.shape, np.float32)
    for box in boxes:
        count[box] += 1
    boxes = [box for box in boxes if volume[box].max() > 0.1]  # hiding bare air changes nothing, and there is much
    network.eval()
    with paddle.no_grad():
        whole = _answers(network, [volume])[0]
        for start in range(0, len(boxes), 16):
            hidden = []
            for box in boxes[start : start + 16]:
                copy = np.array(volume)
                copy[box] = np.percentile(volume[box], 25)
                hidden.append(copy)
            for box, answer in zip(boxes[start : start + 16], _answers(network, hidden), strict=True):
                total[box] += whole - answer
    return total / np.maximum(count, 1)


def on_scan(heat: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Bring a heat map from the voxels of a prepared volume to those of its scan, corners on corners.

    Example:
        >>> on_scan(np.float32([0, 2]).reshape(2, 1, 1), (3, 1, 1)).ravel()
        array([0., 1., 2.], dtype=float32)

    Taught in notebook 01.
    """
    factors = [new / old for new, old in zip(shape, heat.shape, strict=True)]
    # Rounding can put the last plane a hair outside, where SciPy's default mode reads 0.
    return ndimage.zoom(heat, factors, order=1, mode="nearest")


def pointing(heat: np.ndarray, lesions: np.ndarray | None, scan: ct.Volume) -> str:
    """Hold a heat map against the truth: of the hottest lung voxels, how many lie in a lesion?

    Only voxels that can be lung (-950 to -150 HU) or lie in a lesion count, so that a network which merely found the
    lungs does no better than chance.

    Args:
        heat: [x, y, z] on the voxels of the scan, larger where the network leaned more.
        lesions: ``bool`` [x, y, z], or None where no mask is stored.
        scan: The scan.

    Returns:
        One sentence: the share of the hottest twentieth inside the lesions, beside the share of the lungs that these
        fill; or the reason why that cannot be said.

    Example:
        >>> scan = ct.Volume(np.full((10, 5, 2), -800.0), (1.0, 1.0, 1.0), "scan", "RAS")
        >>> heat = np.arange(100.0).reshape(scan.hu.shape)
        >>> pointing(heat, heat >= 90, scan)
        '100 % of the hottest lung voxels lie in a lesion; by chance it would be 10 %.'

    Taught in notebook 01.
    """
    if lesions is None:
        return "No mask is stored beside this scan, so that the heat cannot be held against the truth."
    if not lesions.any():
        return "This scan has no lesion, so that the heat cannot be held against one."
    lung = lesions | ((scan.hu > -950) & (scan.hu < -150))
    hottest = heat[lung] >= np.quantile(heat[lung], 0.95)  # ties all count, so that even heat points nowhere
    inside, chance = 100 * lesions[lung][hottest].mean(), 100 * lesions[lung].mean()
    return f"{inside:.0f} % of the hottest lung voxels lie in a lesion; by chance it would be {chance:.0f} %."


def gradcam(network: ResNet, image: np.ndarray, target: int, stage: int = 4) -> np.ndarray:
    """Grad-CAM: the maps of a stage's last block, each weighed by how much it speaks for a class, summed.

    The weight of a map is the mean slope of the class's log-odds along it. Only what speaks for the class is kept.

    Each number of the last stage stands for 32 x 32 pixels and has seen, in part, more than 400 x 400. On images of
    96 or 128 pixels these are 3 x 3 or 4 x 4 numbers which have all seen everything, so that the heat tells little
    of the place; stage 3, of twice the rows and columns, points much better there.

    Args:
        network: A trained `ResNet`; left in the mode it was in, without gradients.
        image: ``float32`` [channels, rows, columns], prepared as for training.
        target: The class that is asked about, from 0.
        stage: 4, the last one, as published; or an earlier one.

    Returns:
        ``float32`` [rows, columns] in [0, 1], 1 where the evidence is strongest; all 0 where there is none.

    Raises:
        ValueError: If the image has not three axes, or there is no such class or stage.

    Example:
        >>> network = ResNet(18, classes=3, channels=1, width=2)
        >>> gradcam(network, np.random.default_rng(0).random((1, 64, 96), np.float32), target=2).shape
        (64, 96)

    Taught in notebook 04. Source: Selvaraju et al. 2017.
    """
    if image.ndim != 3:
        raise ValueError(f"an image has the axes channels, rows and columns, but this one has the shape {image.shape}")
    modes = [(layer, layer.training) for layer in network.sublayers(include_self=True)]
    try:
        network.eval()
        with paddle.no_grad():
            maps = network.maps(paddle.to_tensor(image[None]), stage)
        maps.stop_gradient = False  # the slope along the maps is asked for, not that along any weight
        log_odds = network.answer(maps, stage)[0]
    finally:
        for layer, mode in modes:
            layer.training = mode
    if not 0 <= target < len(log_odds):
        raise ValueError(f"the classes are 0 to {len(log_odds) - 1}, but class {target} was asked about")
    (slope,) = paddle.grad(log_odds[target], maps)
    weights = slope.mean(axis=[2, 3], keepdim=True)
    heat = np.maximum((weights * maps).sum(axis=1)[0].numpy(), 0)
    heat = cv2.resize(heat, image.shape[:0:-1], interpolation=cv2.INTER_LINEAR)
    return heat / heat.max() if heat.max() > 0 else heat


def _corners(starts):
    return ((a, b, c) for a in starts[0] for b in starts[1] for c in starts[2])


def _answers(network, volumes):
    stack = np.stack(volumes).transpose(0, 3, 2, 1)[:, None]
    return network(paddle.to_tensor(np.ascontiguousarray(stack))).numpy()[:, 0]
