"""From a fitted estimator to the ONNX bytes that are served: one float32 input, one score per row.

The bytes are the model's identity, so nothing in them may depend on when, where or in which order it was converted:
names are given anew, and producer and documentation are ours.
"""

from typing import Any

import numpy as np
import onnx
import skl2onnx
from onnx import TensorProto, helper, numpy_helper
from onnxmltools.convert import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as XgboostFloats
from skl2onnx.common.data_types import FloatTensorType
from xgboost import XGBClassifier

from slipway.models.errors import ConversionRefused
from slipway.models.runtime import INPUT, OUTPUT

# The oldest that has every operator used here, so that an older ONNX Runtime can still serve the file.
OPSET, ML_OPSET, IR_VERSION = 17, 3, 8

POSITIVE = 1


def to_onnx(estimator: Any, *, columns: int) -> bytes:
    """Convert a fitted binary classifier over a matrix of ``columns`` float32 columns.

    Raises:
        ConversionRefused: the converter doesn't know the estimator, or its result isn't a valid model.
    """
    try:
        if isinstance(estimator, XGBClassifier):
            converted = convert_xgboost(estimator, initial_types=[(INPUT, XgboostFloats([None, columns]))])
        else:
            converted = skl2onnx.convert_sklearn(
                estimator,
                initial_types=[(INPUT, FloatTensorType([None, columns]))],
                options={id(estimator): {"zipmap": False}},
                target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
            )
        return _tidy(converted.graph, columns=columns)
    except (RuntimeError, NotImplementedError, NameError, TypeError, ValueError, onnx.checker.ValidationError) as error:
        msg = (
            f"{type(estimator).__name__} can't be converted to ONNX: {str(error).splitlines()[0]}; "
            "leave its family out of SEARCH in train.py, or take another one"
        )
        raise ConversionRefused(msg) from error


def split_values(model: bytes) -> tuple[tuple[int, float], ...]:
    """Return the distinct (column, value) pairs at which the trees of a model branch; none for a linear model."""
    found: set[tuple[int, float]] = set()
    for node in onnx.load_from_string(model).graph.node:
        attributes = {attribute.name: attribute for attribute in node.attribute}
        if "nodes_modes" in attributes:
            inner = np.array(attributes["nodes_modes"].strings) != b"LEAF"
            columns = np.array(attributes["nodes_featureids"].ints)[inner]
            values = np.array(attributes["nodes_values"].floats)[inner]
            found.update(zip(columns.tolist(), values.tolist(), strict=True))
    return tuple(sorted(found))


def _tidy(graph: onnx.GraphProto, *, columns: int) -> bytes:
    """Keep what leads to the probabilities, take the positive class's, rename everything by position."""
    probabilities = graph.output[1].name
    needed = {probabilities}
    nodes: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            nodes.insert(0, node)
    constants = [constant for constant in graph.initializer if constant.name in needed]

    names = {INPUT: INPUT}
    for name in [c.name for c in constants] + [name for node in nodes for name in node.output]:
        names.setdefault(name, f"v{len(names)}")
    for number, node in enumerate(nodes):
        node.name = f"n{number}"
        node.doc_string = ""
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
    for constant in constants:
        constant.name = names[constant.name]
    constants += [
        numpy_helper.from_array(np.array(POSITIVE, np.int64), "positive"),
        numpy_helper.from_array(np.array(0, np.float32), "least"),
        numpy_helper.from_array(np.array(1, np.float32), "most"),
    ]
    nodes += [
        helper.make_node("Gather", [names[probabilities], "positive"], ["probability"], name="gather", axis=1),
        # A forest's float32 average of ones can come out as 1.0000001.
        helper.make_node("Clip", ["probability", "least", "most"], [OUTPUT], name="clip"),
    ]
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "model",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, columns])],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None])],
            constants,
        ),
        producer_name="slipway",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
    )
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content
