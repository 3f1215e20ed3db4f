"""The networks of the course, written out from their blocks so that they can be read.

Used by every notebook: `CNN3D` in notebook 01.
"""

from itertools import pairwise

import paddle
from paddle import nn

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
