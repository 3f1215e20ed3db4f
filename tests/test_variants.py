"""What is compared: every variant is one job of its own, results come by their names, and pairs are judged in pairs."""

import numpy as np
import pytest
from test_records import make_record

from helpers import networks, variants
from helpers.judgements import dice


def recorded(parts, **changes):
    """A run with the seed of those that are compared."""
    return make_record(parts, **{"seed": variants.SEED} | changes)


def air(found, true, both, group=None, task="pneumothorax"):
    columns = {"found_pixels": np.array(found), "true_pixels": np.array(true), "both_pixels": np.array(both)}
    columns |= {"truth": (columns["true_pixels"] > 0).astype(int), "group": np.arange(len(found))}
    return recorded({"test": columns | ({} if group is None else {"group": np.array(group)})}, task=task)


@pytest.mark.parametrize("what", variants.COMPARED)
def test_every_variant_makes_the_job_that_it_is_filed_under(what):
    for name, variant in variants.COMPARED[what].items():
        assert variant.make(variants.RUN).name == name
    assert len({variant.label for variant in variants.COMPARED[what].values()}) == len(variants.COMPARED[what])


def test_results_come_in_the_order_of_the_variants_without_flaws_and_other_seeds():
    part = {"test": {"group": np.arange(3)}}
    names = ("xray-50", "xray", "xray+copies", "ct")
    kept = [recorded(part, task=name, value=value) for name, value in zip(names, (0.4, 0.6, 0.9, 0.8), strict=True)]
    kept.append(recorded(part, task="xray-34", value=0.5, seed=1))
    assert [(label, found.value) for label, found in variants.results(kept, "depths")] == [
        ("ResNet-18", 0.6),
        ("ResNet-50", 0.4),
    ]
    assert variants.results([], "views") == []


def test_the_parameters_are_those_of_the_network_that_was_trained():
    kept = [recorded({"test": {"group": np.arange(3)}}, task=name) for name in ("ct", "ct-width16")]
    (_, narrow, _), (_, wide, _) = variants.sized(kept, "widths of CNN3D")
    shape = (46, 46, 46)
    assert [narrow, wide] == [networks.count_parameters(networks.CNN3D(w, shape))[0] for w in (8, 16)]


def test_two_networks_are_compared_image_by_image_where_there_is_air():
    one = air([10, 10, 10, 0], [10, 10, 10, 0], [10, 8, 9, 0])
    other = air([10, 10, 10, 9], [10, 10, 10, 0], [5, 3, 4, 0], task="pneumothorax-UNet")
    said = variants.outlined([one, other])
    better = (dice(one.parts["test"]) - dice(other.parts["test"]))[:3]
    assert np.allclose(better, 0.5)
    assert "on 3 images" in said
    assert "difference +0.50, 95 % interval +0.50 to +0.50." in said
    # Three coins that all fall to one side are no proof, however narrow a bootstrap of three draws.
    assert "On 3 of these images they differ, on 3 in favour of ResUNet; coins fall as unevenly with p = 0.25" in said
    assert "these images cannot tell them apart" in said
    many = [air([10] * 9, [10] * 9, [size] * 9, task=task) for size, task in ((9, one.task), (5, other.task))]
    assert "with p = 0.0039: more than luck of the images" in variants.outlined(many)
    assert "difference +0.00" in variants.outlined([one, air([10] * 4, [10] * 3 + [0], [10, 8, 9, 0], task=other.task)])


def test_two_images_of_a_patient_are_no_two_proofs():
    better = [10, 10, 10, 10, 0, 0]
    alone = air([10] * 6, [10] * 6, better), air([10] * 6, [10] * 6, [5] * 6, task="pneumothorax-UNet")
    pairs = [air([10] * 6, [10] * 6, better, [0, 0, 0, 0, 1, 1], task=one.task) for one in alone[:1]] + [alone[1]]
    widths = []
    for kept in (alone, pairs):
        low, high = variants.outlined(kept).split("interval ")[1].split(".\n")[0].split(" to ")
        widths.append(float(high) - float(low))
    assert widths[1] > widths[0]


def test_what_is_missing_is_said():
    assert variants.outlined([]) == (
        "No run of pneumothorax and pneumothorax-UNet is recorded, `make study` makes them."
    )
