"""Scoring by ONNX Runtime: the same session settings in training, in the gates and in the serving process."""

import numpy as np
import onnxruntime

INPUT = "features"
OUTPUT = "score"

FATAL_ONLY = 4


class OnnxScorer:
    """A model in memory: float32 ``[n, d]`` in, float32 ``[n]`` scores of the positive class out."""

    __slots__ = ("_run", "columns")

    def __init__(self, onnx: bytes) -> None:
        options = onnxruntime.SessionOptions()
        # One row costs about 10 µs; handing it to a thread pool would cost more than that, and idle threads spin.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = FATAL_ONLY
        session = onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        self.columns = int(session.get_inputs()[0].shape[1])
        self._run = session.run

    def score(self, matrix: np.ndarray) -> np.ndarray:
        """Return the scores of the rows of a C-contiguous float32 matrix."""
        scores: np.ndarray = self._run([OUTPUT], {INPUT: matrix})[0]
        return scores
