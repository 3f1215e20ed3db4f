"""Networks of residual blocks, written out: `ResUNet` for masks, notebook 03; `ResNet` for classes, notebook 04.

Both are found in `networks` as well. No convolution within them has a bias: a normalisation after it would take it
away again, or brings one of its own.
"""

from itertools import pairwise

import paddle
from paddle import nn

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class ResUNet(nn.Layer):
    """A U-Net of pre-activated residual blocks: the deep residual U-Net of the published tutorial.

    Args:
        width: Filters at full size; every further level has twice as many.
        depth: How often the image is halved.
        channels: Of the input.
        kernel: Side of the convolutions, odd.

    Raises:
        ValueError: If the kernel is even, or an image cannot be halved so often without a rest.

    Input is ``float32`` [batch, channels, rows, columns]; output the log-odds of the mask, [batch, 1, rows, columns].
    The defaults are the published filters: 64, 128, 256, and 512 in the bridge.

    Example:
        >>> network = ResUNet(width=2, depth=2)
        >>> network(paddle.zeros([1, 1, 16, 24])).numpy().shape
        (1, 1, 16, 24)

    Taught in notebook 03. Source: Zhang et al. 2018, with the normalised shortcuts of the published tutorial.
    """

    def __init__(self, width: int = 64, depth: int = 3, channels: int = 1, kernel: int = 3):
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"the kernel must be odd, so that images keep their size, but is {kernel}")
        filters = [width * 2**level for level in range(depth + 1)]
        levels = list(pairwise(filters))
        self.stem = _PreActivated(channels, width, kernel, first=True)
        self.down = nn.LayerList([_PreActivated(few, many, kernel, stride=2) for few, many in levels])
        self.up = nn.LayerList([_PreActivated(many + few, few, kernel) for few, many in reversed(levels)])
        self.head = nn.Conv2D(width, 1, 1)

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        check_halving(images, len(self.down))
        skips = [self.stem(images)]
        for block in self.down:
            skips.append(block(skips[-1]))
        x = skips.pop()
        for block in self.up:
            skip = skips.pop()
            # By size, not by a factor: only so can the network be exported.
            x = nn.functional.interpolate(x, skip.shape[2:], mode="nearest")
            x = block(paddle.concat([x, skip], axis=1))
        return self.head(x)


class _PreActivated(nn.Layer):
    """Twice normalisation, ReLU, convolution; the input, projected and normalised, is added.

    The first block of a network sees the image itself, which is not normalised before its first convolution.
    """

    def __init__(self, inputs: int, filters: int, kernel: int, stride: int = 1, first: bool = False):
        super().__init__()
        front = [] if first else [nn.BatchNorm2D(inputs), nn.ReLU()]
        self.path = nn.Sequential(
            *front,
            _convolution(inputs, filters, kernel, stride),
            nn.BatchNorm2D(filters),
            nn.ReLU(),
            _convolution(filters, filters, kernel),
        )
        self.shortcut = _projection(inputs, filters, stride)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.path(x) + self.shortcut(x)


class ResNet(nn.Layer):
    """The residual network that won ImageNet in 2015, at any of its five depths.

    Args:
        depth: 18 or 34, from `Basic` blocks; 50, 101 or 152, from `Bottleneck` blocks.
        classes: How many; one answer each.
        channels: Of the input.
        width: Filters of the first stage; each of the three further ones has twice as many.
        shortcuts: Without them it is a plain network of that depth, to show what they are good for.

    Raises:
        ValueError: If the depth is none of the five.

    Input is ``float32`` [batch, channels, rows, columns]; output the log-odds [batch, classes], before the softmax.
    At the published width, 64, a depth of 50 with 3 classes has 23,567,299 parameters, of which 53,120 are
    BatchNorm's running statistics.

    Example:
        >>> network = ResNet(18, classes=3, channels=1, width=2)
        >>> network(paddle.zeros([2, 1, 64, 64])).numpy().shape
        (2, 3)

    Taught in notebook 04. Source: He et al. 2015, halving in the middle convolution of a `Bottleneck`, as is usual now.
    """

    def __init__(self, depth: int = 50, classes: int = 3, channels: int = 3, width: int = 64, shortcuts: bool = True):
        super().__init__()
        if depth not in BLOCKS:
            raise ValueError(f"depth must be one of {', '.join(map(str, BLOCKS))}, but is {depth}")
        block = Basic if depth < 50 else Bottleneck
        self.stem = nn.Sequential(
            _convolution(channels, width, 7, stride=2),
            nn.BatchNorm2D(width),
            nn.ReLU(),
            nn.MaxPool2D(3, stride=2, padding=1),
        )
        self.stages, inputs = nn.LayerList(), width
        for stage, count in enumerate(BLOCKS[depth]):
            blocks, filters = [], width * 2**stage
            for number in range(count):
                blocks.append(block(inputs, filters, 2 if stage and not number else 1, shortcuts))
                inputs = filters * block.expansion
            self.stages.append(nn.Sequential(*blocks))
        self.head = nn.Sequential(nn.AdaptiveAvgPool2D(1), nn.Flatten(), nn.Linear(inputs, classes))

    def maps(self, images: paddle.Tensor, stage: int = 4) -> paddle.Tensor:
        """What the last block of a stage makes of images; `answer` goes on from there.

        Args:
            images: [batch, channels, rows, columns].
            stage: 1 to 4; after it rows and columns are halved ``stage + 1`` times.

        Returns:
            [batch, filters, rows, columns], for stage 4 a thirty-second of the image's.

        Raises:
            ValueError: If there is no such stage.

        Example:
            >>> network, images = ResNet(18, channels=1, width=2), paddle.zeros([1, 1, 96, 64])
            >>> [tuple(network.maps(images, stage).numpy().shape) for stage in (3, 4)]
            [(1, 8, 6, 4), (1, 16, 3, 2)]

        Taught in notebook 04.
        """
        if stage not in (1, 2, 3, 4):
            raise ValueError(f"a ResNet has the stages 1 to 4, but stage {stage} was asked for")
        x = self.stem(images)
        for blocks in self.stages[:stage]:
            x = blocks(x)
        return x

    def answer(self, maps: paddle.Tensor, stage: int = 4) -> paddle.Tensor:
        """The log-odds [batch, classes] from the maps of a stage.

        Taught in notebook 04.
        """
        for blocks in self.stages[stage:]:
            maps = blocks(maps)
        return self.head(maps)

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        return self.answer(self.maps(images))


class Basic(nn.Layer):
    """Two convolutions of 3 x 3, the first of which may halve the image; the input is added, then ReLU.

    Args:
        inputs: Filters of what comes in.
        filters: Of both convolutions, and of what comes out.
        stride: 2 halves rows and columns.
        shortcuts: Whether the input is added.

    Taught in notebook 04.
    """

    expansion = 1

    def __init__(self, inputs: int, filters: int, stride: int, shortcuts: bool = True):
        super().__init__()
        self.path = nn.Sequential(
            _convolution(inputs, filters, 3, stride),
            nn.BatchNorm2D(filters),
            nn.ReLU(),
            _convolution(filters, filters, 3),
            nn.BatchNorm2D(filters),
        )
        self.shortcut = _shortcut(inputs, filters, stride) if shortcuts else None

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return _add(self.path(x), x, self.shortcut)


class Bottleneck(nn.Layer):
    """A convolution of 3 x 3 between two of 1 x 1, the last with four times the filters; the input is added, then ReLU.

    Args:
        inputs: Filters of what comes in.
        filters: Of the first two convolutions; four times as many come out.
        stride: 2 halves rows and columns.
        shortcuts: Whether the input is added.

    Taught in notebook 04.
    """

    expansion = 4

    def __init__(self, inputs: int, filters: int, stride: int, shortcuts: bool = True):
        super().__init__()
        self.path = nn.Sequential(
            _convolution(inputs, filters, 1),
            nn.BatchNorm2D(filters),
            nn.ReLU(),
            _convolution(filters, filters, 3, stride),
            nn.BatchNorm2D(filters),
            nn.ReLU(),
            _convolution(filters, 4 * filters, 1),
            nn.BatchNorm2D(4 * filters),
        )
        self.shortcut = _shortcut(inputs, 4 * filters, stride) if shortcuts else None

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return _add(self.path(x), x, self.shortcut)


def _shortcut(inputs: int, filters: int, stride: int) -> nn.Layer:
    """The input as it is, or projected where its shape is not that of the path's end."""
    return nn.Identity() if (inputs, stride) == (filters, 1) else _projection(inputs, filters, stride)


def _add(found: paddle.Tensor, x: paddle.Tensor, shortcut: nn.Layer | None) -> paddle.Tensor:
    return nn.functional.relu(found if shortcut is None else found + shortcut(x))


def _projection(inputs: int, filters: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_convolution(inputs, filters, 1, stride), nn.BatchNorm2D(filters))


def _convolution(inputs: int, filters: int, kernel: int, stride: int = 1) -> nn.Conv2D:
    kaiming = nn.initializer.KaimingNormal()
    return nn.Conv2D(inputs, filters, kernel, stride, kernel // 2, weight_attr=kaiming, bias_attr=False)


def check_halving(images: paddle.Tensor, depth: int) -> None:
    """Refuse images that cannot be halved so often without a rest: what goes up again would not fit what came down.

    Args:
        images: [batch, channels, rows, columns].
        depth: How often they are to be halved.

    Raises:
        ValueError: If rows or columns are no multiple of 2 to the depth, or none.

    Example:
        >>> check_halving(paddle.zeros([1, 1, 40, 36]), 3)
        Traceback (most recent call last):
        ValueError: rows and columns must be multiples of 8, but the image has 40 x 36

    Used by the networks of notebooks 02 and 03.
    """
    rows, columns = images.shape[2:]
    if rows % 2**depth or columns % 2**depth or not rows or not columns:
        raise ValueError(f"rows and columns must be multiples of {2**depth}, but the image has {rows} x {columns}")
