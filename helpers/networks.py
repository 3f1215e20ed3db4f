"""The networks of the course, written out from their blocks so that they can be read.

Used by every notebook: `CNN3D` in notebook 01, `UNet` and `RowNet` in notebook 02, `ResUNet` in notebook 03 and
`ResNet` in notebook 04.
"""

from itertools import pairwise

import paddle
from paddle import nn

from helpers.residuals import ResNet, ResUNet, check_halving

__all__ = ["CNN3D", "ResNet", "ResUNet", "RowNet", "UNet", "count_parameters", "summary"]

LEAST_SIDE = 46  # four times (3 x 3 x 3 without padding, then halved) must leave one voxel


class CNN3D(nn.Layer):
    """The 3-D network of the published tutorials: four blocks of convolution, pooling and normalisation, then a vote.

    Args:
        width: Filters of the first block; the four blocks have 1, 1, 2 and 4 times as many, the dense layer 8 times.
        shape: Voxels along x, y, z of the volumes it will see.

    Raises:
        ValueError: If an axis of the volumes is too short for four blocks without padding.

    Input is ``float32`` [batch, 1, z, y, x] in [0, 1]; output [batch, 1], the log-odds of class 1.
    At the published width, 64, it has 1,352,897 parameters, of which 1,024 are BatchNorm's running statistics.

    Example:
        >>> network = CNN3D(width=4, shape=(46, 46, 46))
        >>> network(paddle.zeros([2, 1, 46, 46, 46])).numpy().shape
        (2, 1)

    Taught in notebook 01. Source: Zunair et al. 2020, with the ReLU of the Keras tutorial in the dense layer.
    """

    def __init__(self, width: int = 64, shape: tuple[int, int, int] = (128, 128, 64)):
        super().__init__()
        if min(shape) < LEAST_SIDE:
            raise ValueError(f"CNN3D needs at least {LEAST_SIDE} voxels along every axis, but the shape is {shape}")
        filters = (1, width, width, 2 * width, 4 * width)
        self.blocks = nn.Sequential(*(_Block(*pair) for pair in pairwise(filters)))
        self.pool = nn.AdaptiveAvgPool3D(1)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(4 * width, 8 * width), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8 * width, 1)
        )

    def forward(self, volumes: paddle.Tensor) -> paddle.Tensor:
        # Paddle computes an empty output in silence and learns nothing from it.
        if min(volumes.shape[2:]) < LEAST_SIDE:
            raise ValueError(f"CNN3D needs at least {LEAST_SIDE} voxels along every axis, but got {volumes.shape}")
        # Centred numbers of about unit spread: with few filters it decides whether anything is learned in a minute.
        return self.head(self.pool(self.blocks((volumes - 0.35) * 3)))


class _Block(nn.Layer):
    """Convolution, pooling, ReLU, normalisation.

    Pooling before ReLU, and the convolution's bias after pooling, give the same numbers as the published order, for an
    eighth of the work; on a CPU, where adding a bias takes Paddle as long as convolving, a step takes half the time.
    """

    def __init__(self, inputs: int, filters: int):
        super().__init__()
        self.conv = nn.Conv3D(inputs, filters, 3, weight_attr=nn.initializer.KaimingNormal())
        self.pool, self.relu = nn.MaxPool3D(2), nn.ReLU()
        self.norm = nn.BatchNorm3D(filters)

    def forward(self, volumes: paddle.Tensor) -> paddle.Tensor:
        sums = self.pool(nn.functional.conv3d(volumes, self.conv.weight))
        return self.norm(self.relu(sums + self.conv.bias.reshape([-1, 1, 1, 1])))


class UNet(nn.Layer):
    """The U-Net of the published tutorial: an encoder, a decoder, and a skip between them at every size.

    Args:
        width: Filters at full size; every further level has twice as many.
        depth: How often the image is halved.
        channels: Of the input.
        rows: Answer with one number a row instead of one a pixel.
        columns: Width of the images for which the rows' weights are drawn up; they are stretched for any other width.

    Raises:
        ValueError: If an image cannot be halved so often without a rest.

    Input is ``float32`` [batch, channels, rows, columns]; output the log-odds [batch, 1, rows, columns], or
    [batch, 1, rows]. With its defaults it has 31,055,297 parameters, of which 11,776 are BatchNorm's running
    statistics; one answer a row takes 513 more, a convolution of 1 x 512.

    Example:
        >>> network = UNet(width=2, depth=2, rows=True)
        >>> network(paddle.zeros([1, 3, 16, 24])).numpy().shape
        (1, 1, 16)

    Taught in notebook 02. Source: Ronneberger et al. 2015, as in the published tutorial.
    """

    def __init__(self, width: int = 64, depth: int = 4, channels: int = 3, rows: bool = False, columns: int = 512):
        super().__init__()
        filters = [width * 2**level for level in range(depth + 1)]
        self.down = nn.LayerList([_double(*pair) for pair in pairwise([channels, *filters])])
        self.up = nn.LayerList([nn.Conv2DTranspose(2 * few, few, 2, stride=2) for few in filters[-2::-1]])
        self.merge = nn.LayerList([_double(2 * few, few) for few in filters[-2::-1]])
        self.head = nn.Conv2D(width, 1, 1)
        # To begin with, the answer of a row is the mean over its columns.
        mean = nn.initializer.Constant(1 / columns)
        self.row_head = nn.Conv2D(1, 1, (1, columns), weight_attr=mean) if rows else None

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        check_halving(images, len(self.up))
        x, skips = images, []
        for block in self.down:
            x = block(x if not skips else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        for up, merge, skip in zip(self.up, self.merge, skips[-2::-1], strict=True):
            x = merge(paddle.concat([skip, up(x)], axis=1))
        x = self.head(x)
        if self.row_head is None:
            return x
        weight = self.row_head.weight
        if weight.shape[3] != x.shape[3]:
            scale = weight.shape[3] / x.shape[3]
            weight = nn.functional.interpolate(weight, [1, x.shape[3]], mode="bilinear") * scale
        return nn.functional.conv2d(x, weight, self.row_head.bias).squeeze(3)


class RowNet(nn.Layer):
    """A network for the question "which row?": it sees an image and answers with one number a row and vertebra.

    The encoder is a U-Net's. Its skips are pooled over the columns, by maximum and mean, so that the decoder works on
    rows alone: a fraction of the time, and nothing spent on where in a row the spine is.

    Args:
        width: Filters at full size; every further level has twice as many, up to eight times as many.
        depth: How often the image is halved.
        channels: Of the input.
        outputs: Numbers for every row, such as one a vertebra.

    Raises:
        ValueError: If an image cannot be halved so often without a rest.

    Input is ``float32`` [batch, channels, rows, columns]; output the log-odds [batch, outputs, rows].

    Example:
        >>> network = RowNet(width=4, depth=3, channels=1, outputs=8)
        >>> network(paddle.zeros([2, 1, 32, 24])).numpy().shape
        (2, 8, 32)

    Taught in notebook 02.
    """

    def __init__(self, width: int = 8, depth: int = 5, channels: int = 1, outputs: int = 1):
        super().__init__()
        filters = [width * min(2**level, 8) for level in range(depth + 1)]
        self.down = nn.LayerList([_double(*pair, bias=False) for pair in pairwise([channels, *filters])])
        upwards = [0, *(2 * few for few in reversed(filters))]  # what comes from below, and what a skip brings
        self.merge = nn.LayerList([_double(a + b, b, bias=False, image=False) for a, b in pairwise(upwards)])
        self.head = nn.Conv1D(2 * width, outputs, 1)

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        check_halving(images, len(self.down) - 1)
        x, skips = images, []
        for block in self.down:
            x = block(x if not skips else nn.functional.max_pool2d(x, 2))
            # Pooling finds a maximum in a fortieth of the time that Paddle's `max` along an axis takes on a CPU.
            highest = nn.functional.adaptive_max_pool2d(x, [x.shape[2], 1]).squeeze(3)
            skips.append(paddle.concat([highest, x.mean(axis=3)], axis=1))
        rows = self.merge[0](skips[-1])
        for merge, skip in zip(self.merge[1:], skips[-2::-1], strict=True):
            rows = nn.functional.interpolate(rows, [skip.shape[2]], mode="linear", data_format="NCW")
            rows = merge(paddle.concat([rows, skip], axis=1))
        return self.head(rows)


def _double(inputs: int, filters: int, bias: bool = True, image: bool = True) -> nn.Sequential:
    """Twice convolution, normalisation, ReLU, on images or on rows.

    The normalisation takes any bias away again; the published U-Net has biases and is counted with them.
    """
    convolution, norm = (nn.Conv2D, nn.BatchNorm2D) if image else (nn.Conv1D, nn.BatchNorm1D)
    parts = []
    for channels in (inputs, filters):
        kaiming = nn.initializer.KaimingNormal()
        layer = convolution(channels, filters, 3, padding=1, weight_attr=kaiming, bias_attr=None if bias else False)
        parts += [layer, norm(filters), nn.ReLU()]
    return nn.Sequential(*parts)


def count_parameters(network: nn.Layer) -> tuple[int, int]:
    """Count a network's numbers: all, and those that training changes.

    BatchNorm's running mean and variance count among all; they are measured, not trained.

    Example:
        >>> count_parameters(CNN3D())
        (1352897, 1351873)

    Taught in notebook 01.
    """
    everything = {id(tensor): tensor for tensor in network.state_dict().values()}
    trained = [tensor for tensor in network.parameters() if not tensor.stop_gradient]
    return sum(tensor.size for tensor in everything.values()), sum(tensor.size for tensor in trained)


def summary(network: nn.Layer) -> str:
    """List a network's layers with their parameters, one a line, as plain text.

    Example:
        >>> print(summary(CNN3D(width=4, shape=(46, 46, 46))).splitlines()[1])
        blocks.0.conv  Conv3D                    112

    Taught in notebook 01.
    """
    rows = [f"{'layer':<15}{'kind':<18}{'parameters':>11}"]
    for name, layer in network.named_sublayers():
        if not layer.sublayers():
            size = sum(tensor.size for tensor in layer.state_dict().values())
            rows.append(f"{name:<15}{type(layer).__name__:<18}{size:>11,}")
    everything, trained = count_parameters(network)
    return "\n".join([*rows, f"{everything:,} parameters in all, {trained:,} of them trained"])
