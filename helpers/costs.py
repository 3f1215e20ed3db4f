"""What a network costs before it runs: parameters, FLOPs, and the memory of a training step.

Used by notebook 05.
"""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import paddle

from helpers.networks import count_parameters

FLOAT = 4  # bytes of a float32
CONVOLUTIONS = ("conv1d", "conv2d", "conv3d", "depthwise_conv2d")
UPWARDS = ("conv2d_transpose", "conv3d_transpose")
PRODUCTS = ("matmul", "bmm")
# What an operation keeps until its gradient has been computed; all others, such as a sum, keep nothing.
KEEP_INPUTS = (*CONVOLUTIONS, *UPWARDS, *PRODUCTS, "batch_norm", "pool2d", "pool3d", "max_pool2d_with_index")
KEEP_OUTPUT = ("relu", "sigmoid", "tanh", "softmax", "log_softmax", "pool2d", "pool3d")
UNCOUNTED = ("conv", "deformable_conv", "addmm", "baddbmm", "einsum", "mv", "rnn", "flash_attn", "fused")


class Costs(NamedTuple):
    """What a network costs, before it has run.

    Attributes:
        parameters: All its numbers, BatchNorm's running statistics among them.
        trained: Those that training changes.
        flops: Of one case's forward pass; a multiplication and an addition are two.
        activations: Bytes that a training keeps of one case between the forward pass and the gradients, estimated.
        unfolded: Bytes of the largest convolution's input, unfolded into a matrix for one case at a time.

    Seen in notebook 05.
    """

    parameters: int
    trained: int
    flops: int
    activations: int
    unfolded: int


def costs(network: paddle.nn.Layer, shape: Sequence[int]) -> Costs:
    """Count what one case costs, without computing anything: the network is only traced.

    FLOPs are those of convolutions, transposed convolutions and matrix products, at the edges as everywhere; the rest
    is a percent or two. Published figures often count a multiplication with its addition as one: half as many.

    Args:
        network: Its weights are not needed; build a large one within ``paddle.LazyGuard()``.
        shape: Of one case, channels first.

    Raises:
        ValueError: If the network multiplies by an operation that is not known here.

    Example:
        >>> with paddle.LazyGuard():
        ...     network = paddle.nn.Sequential(paddle.nn.Conv2D(1, 8, 3, padding=1), paddle.nn.ReLU())
        >>> costs(network, (1, 10, 10))  # 100 pixels x 8 filters x 9 neighbours x 2
        Costs(parameters=80, trained=80, flops=14400, activations=3600, unfolded=3600)

    Taught in notebook 05.
    """
    program = _trace(network, shape)  # its operations are gone with it
    flops, unfolded, kept, fixed = 0, 0, {}, set()
    for operation in program.global_block().ops:
        name = operation.name().split(".")[-1].removesuffix("_")
        inputs, outputs = [operand.source() for operand in operation.operands()], operation.results()
        if name != "data" and all(value.id in fixed for value in inputs):
            fixed.update(value.id for value in outputs)  # weights, and what is made of them alone
        elif name in CONVOLUTIONS + UPWARDS:
            pixels, weight = inputs[0] if name in UPWARDS else outputs[0], inputs[1]
            size = prod(weight.shape[1:])
            flops += 2 * size * prod(pixels.shape)
            if max(weight.shape[2:]) > 1:  # else there is nothing to unfold
                unfolded = max(unfolded, size * prod(pixels.shape[2:]))
        elif name in PRODUCTS:
            side = -2 if operation.attrs().get("transpose_x") else -1
            flops += 2 * inputs[0].shape[side] * prod(outputs[0].shape)
        elif name.startswith(UNCOUNTED):
            raise ValueError(f"what {name!r} costs is not known here; write the network with convolutions and products")
        values = (inputs if name in KEEP_INPUTS else []) + (outputs[:1] if name in KEEP_OUTPUT else [])
        kept |= {value.id: prod(value.shape) for value in values if value.id not in fixed}
    return Costs(*count_parameters(network), flops, FLOAT * sum(kept.values()), FLOAT * unfolded)


def _trace(network: paddle.nn.Layer, shape: Sequence[int]) -> paddle.static.Program:
    """One forward pass as a list of operations.

    Layers cannot tell: `CNN3D` and `UNet` call some convolutions as functions. Rewriting a network's Python, as Paddle
    does by itself to trace it, fails on some and takes twice as long; the networks of this course need none of it.
    """
    forward = paddle.jit.not_to_static(lambda case: network(case))
    case = paddle.static.InputSpec([1, *shape], "float32")
    traced = paddle.jit.to_static(forward, input_spec=[case], full_graph=True)
    return traced.concrete_program.main_program
