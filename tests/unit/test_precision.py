"""Lower precision: 8-bit weights that cannot saturate, layers kept by measurement, the gates."""

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from exemplar_training.errors import ExportError
from exemplar_training.evaluation.metrics import Interval
from exemplar_training.precision import convert, fp16, gates, int8, qdq
from exemplar_training.precision.graph import Graph
from exemplar_training.precision.kept import choose_kept
from exemplar_training.precision.weights import quantized
from training_images import squares

SIDE = 12


def network(mean=(127.0,), group=1, *, has_inner_pooling=False, seed=0):
    """Pixels, two convolutions with a Clip and a residual sum, the maximum or mean of maps."""
    random = np.random.default_rng(seed)
    constants = {
        "mean": np.array(mean, np.float32).reshape(1, -1, 1, 1),
        "std": np.array([[[[128.0]]]], np.float32),
        "first": random.normal(0, 0.3, (8, 3, 3, 3)).astype(np.float32),
        "first_bias": random.normal(0, 0.3, 8).astype(np.float32),
        "second": random.normal(0, 0.5, (8, 8 // group, 3, 3)).astype(np.float32),
        "least": np.array(0, np.float32),
        "most": np.array(6, np.float32),
        "axes": np.array([2, 3], np.int64),
    }
    nodes = [
        helper.make_node("Transpose", ["image"], ["turned"], "n0", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["turned"], ["floats"], "n1", to=TensorProto.FLOAT),
        helper.make_node("Sub", ["floats", "mean"], ["shifted"], "n2"),
        helper.make_node("Div", ["shifted", "std"], ["pixels"], "n3"),
        helper.make_node("Conv", ["pixels", "first", "first_bias"], ["a"], "n4", pads=[1] * 4),
        helper.make_node("Clip", ["a", "least", "most"], ["b"], "n5"),
        helper.make_node("Conv", ["b", "second"], ["c"], "n6", pads=[1] * 4, group=group),
        helper.make_node("Add", ["b", "c"], ["d"], "n7"),
        helper.make_node("Relu", ["d"], ["e"], "n8"),
        helper.make_node("ReduceMean", ["e", "axes"], ["f"], "n9", keepdims=0),
    ]
    last = "f"
    if has_inner_pooling:
        nodes += [
            helper.make_node("ReduceMax", ["b", "axes"], ["g"], "n10", keepdims=0),
            helper.make_node("Concat", ["f", "g"], ["h"], "n11", axis=1),
        ]
        last = "h"
    nodes.append(helper.make_node("LpNormalization", [last], ["embedding"], "n12", axis=1, p=2))
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["B", SIDE, SIDE, 3])
    dim = 16 if has_inner_pooling else 8
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["B", dim])
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", [image], [embedding], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def images(count=32, seed=1):
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def answers(model, images_NHWC):
    data = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": images_NHWC})[0]


def least_cosine(model, other):
    return gates.cosines(answers(model, images()), answers(other, images())).least


def op_types(data):
    return [node.op_type for node in onnx.load_from_string(data).graph.node]


# Weights


@given(
    st.integers(0, 1000), st.sampled_from([(16, 3, 3), (7, 5, 1), (4, 1, 5)]), st.floats(1e-3, 1e3)
)
def test_no_pair_of_weights_saturates_16_bits(seed, shape, size):
    outputs, inputs, kernel = shape
    random = np.random.default_rng(seed)
    weights = size * random.standard_cauchy((outputs, inputs, kernel, kernel)).astype(np.float32)
    found = quantized(
        weights, np.zeros(outputs), group=1, input_scale=1.0, input_mean_C=np.zeros(inputs)
    )
    flat = found.integers_OIHW.transpose(0, 2, 3, 1).reshape(outputs, -1).astype(int)
    pairs = np.pad(flat, ((0, 0), (0, flat.shape[1] % 2))).reshape(outputs, -1, 2).sum(axis=2)
    assert 255 * np.abs(pairs).max() <= 2**15 - 1


def test_depthwise_weights_use_all_8_bits():
    weights = np.full((4, 1, 3, 3), 0.5, np.float32)
    found = quantized(weights, np.zeros(4), group=4, input_scale=1.0, input_mean_C=np.zeros(4))
    assert found.integers_OIHW.min() > 100


def test_the_bias_takes_over_what_rounding_the_weights_changes_on_average():
    random = np.random.default_rng(0)
    weights = random.normal(size=(6, 4, 1, 1)).astype(np.float32)
    bias, mean = random.normal(size=6), random.uniform(1, 2, 4)
    found = quantized(weights, bias, group=1, input_scale=0.01, input_mean_C=mean)
    used = found.integers_OIHW[:, :, 0, 0] * found.scales_O[:, None].astype(np.float64)
    np.testing.assert_allclose(used @ mean + found.bias_O, weights[:, :, 0, 0] @ mean + bias)


def test_a_channel_without_weights_keeps_its_bias():
    weights, bias = np.zeros((2, 3, 1, 1), np.float32), np.array([5.0, -3.0])
    found = quantized(weights, bias, group=1, input_scale=1e-3, input_mean_C=np.ones(3))
    assert np.abs(found.bias_O / (found.scales_O * 1e-3)).max() < 2**31
    np.testing.assert_allclose(found.bias_O, bias)


# Graphs


@pytest.mark.parametrize("group", [1, 2, 8])
@pytest.mark.parametrize("has_inner_pooling", [False, True])
def test_int8_says_what_fp32_says(group, has_inner_pooling):
    model = network(group=group, has_inner_pooling=has_inner_pooling)
    data = qdq.rewritten(model, int8.calibrated(model, images()), ())
    assert least_cosine(data, model) > 0.999


def test_whatever_layers_stay_in_float_their_clips_stay_with_them():
    model = network()
    integers = int8.calibrated(model, images())
    for kept in (["first"], ["second"], ["first", "second"]):
        assert least_cosine(qdq.rewritten(model, integers, kept), model) > 0.999
    assert "Clip" in op_types(qdq.rewritten(model, integers, ["first"]))
    assert "Clip" not in op_types(qdq.rewritten(model, integers, ()))


def test_with_all_layers_in_float_nothing_is_quantized():
    model = network()
    data = qdq.rewritten(model, int8.calibrated(model, images()), ["first", "second"])
    assert op_types(data) == [node.op_type for node in model.graph.node]


def test_pixels_reach_the_first_layer_as_the_8_bits_that_they_are():
    model = network(mean=(127.0,))
    data = qdq.rewritten(model, int8.calibrated(model, images()), ())
    assert not {"Cast", "Sub", "Div"} & set(op_types(data))
    assert Graph(model).pixels().zero == 127


def test_a_mean_between_two_levels_costs_nothing():
    model = network(mean=(127.5,))
    data = qdq.rewritten(model, int8.calibrated(model, images()), ())
    assert "Cast" not in op_types(data)
    assert least_cosine(data, model) > 0.999


def test_channels_with_means_of_their_own_are_normalized_in_float():
    model = network(mean=(123.7, 116.3, 103.5))
    data = qdq.rewritten(model, int8.calibrated(model, images()), ())
    assert "Sub" in op_types(data)
    assert least_cosine(data, model) > 0.999


def test_the_same_images_give_the_same_bytes():
    first, second = (
        qdq.rewritten(model, int8.calibrated(model, images()), ())
        for model in (network(), network())
    )
    assert first == second


def test_a_network_without_convolutions_is_refused():
    model = network()
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    for node in convolutions:
        node.op_type = "Other"
    with pytest.raises(ExportError, match="expected a network with convolutions"):
        int8.calibrated(model, images())


def test_fp16_halves_the_weights_and_keeps_norms_and_pixels_in_float():
    model = network()
    half = onnx.load_from_string(fp16.halved(model))
    kinds = {it.name: it.data_type for it in half.graph.initializer}
    assert kinds["first_half"] == kinds["second_half"] == TensorProto.FLOAT16
    assert kinds["mean"] == TensorProto.FLOAT
    assert "first" not in kinds
    assert least_cosine(half, model) > 0.9999
    assert answers(half, images(2)).dtype == np.float32


# What stays in float


def test_no_layer_stays_in_float_where_none_needs_to():
    kept = choose_kept(["a", "b"], lambda _: 0.99, 0.97)
    assert (kept.layers, kept.alone) == ((), {})


def test_the_layer_that_helps_most_stays_in_float_first_and_no_more_than_needed():
    gains = {"a": 0.01, "b": 0.05, "c": 0.02}
    kept = choose_kept(list(gains), lambda kept: 0.9 + sum(gains[it] for it in kept), 0.965)
    assert kept.layers == ("b", "c")
    assert kept.cosine == pytest.approx(0.97)
    assert kept.alone == pytest.approx({"a": 0.91, "b": 0.95, "c": 0.92})


# Gates

GOOD = gates.Cosines(mean=0.99, percentile_1=0.98, least=0.95)


def test_the_gates_let_a_good_file_pass():
    gates.check(GOOD, {"prototype": Interval(-0.002, 0.0029)})


def test_embeddings_far_from_fp32_are_refused():
    with pytest.raises(ExportError, match=r"cosine to fp32 of at least 0\.97 .* got 0\.9600"):
        gates.check(gates.Cosines(0.99, 0.96, 0.9), {})


def test_a_loss_of_few_shot_accuracy_is_refused_with_its_head():
    with pytest.raises(ExportError, match=r"below 0\.5 points .* got 0\.30 \+- 0\.25 \(5-NN\)"):
        gates.check(GOOD, {"5-NN": Interval(-0.003, 0.0025)})


def test_a_gate_that_fails_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "_CALIBRATION_IMAGES", 10)
    monkeypatch.setattr(convert, "_UNSEEN_IMAGES", 140)
    monkeypatch.setattr(gates, "LEAST_COSINE", 1.1)
    onnx.save(network(), tmp_path / "model.onnx")
    before = (tmp_path / "model.onnx").read_bytes()
    with pytest.raises(ExportError, match="cosine to fp32"):
        convert.to_int8(tmp_path / "model.onnx", SIDE, convert.int8_images(squares(150)))
    assert (tmp_path / "model.onnx").read_bytes() == before


def test_the_cosines_are_those_of_the_worst_images():
    expected_ND = np.eye(200, dtype=np.float32)
    embeddings_ND = expected_ND.copy()
    embeddings_ND[0] = 0.6 * expected_ND[0] + 0.8 * expected_ND[1]
    found = gates.cosines(embeddings_ND, expected_ND)
    assert found.least == pytest.approx(0.6)
    assert found.percentile_1 == 1.0
