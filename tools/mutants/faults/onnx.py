"""Faults in whole ONNX models: how they are cut, and the operators beside ours."""

from __future__ import annotations

from tools.mutants.mutant import Mutant

ONNX = "python/simdrnn/onnx/"

MUTANTS = (
    Mutant(
        "onnx-softmax-along-one-axis", ONNX + "replaced_ops.py",
        find='_Replaced("Softmax", 1, 13, _Softmax)',
        plant='_Replaced("Softmax", 1, 12, _Softmax)',
        fault="border",
        seen="without ONNX Runtime Softmax of operator set 12 has the meaning of 13",
        tests=("onnx_other_nodes",),
    ),
    Mutant(
        "onnx-transposed-convolution-of-one-group", ONNX + "replaced_ops.py",
        find="made = [one_group(*part, group=1, **how)[0] for part in parts]",
        plant="made = [one_group(*part, group=1, **how)[0] for part in parts][::-1]",
        fault="order",
        seen="channels of a grouped ConvTranspose change places",
        tests=("onnx_other_nodes",),
    ),
    Mutant(
        "onnx-refusals-not-asked", ONNX + "pieces.py",
        find="        check_refused(model)\n",
        plant="",
        fault="missing check",
        seen="a node that onnx gets wrong runs",
        tests=("onnx_other_nodes",),
    ),
    Mutant(
        "onnx-drawn-weights-are-constants", ONNX + "scope.py",
        find="node.domain in DEFAULT_DOMAINS and node.op_type not in _DRAWN",
        plant="node.domain in DEFAULT_DOMAINS",
        fault="stale cache",
        seen="weights that a model draws are the same in every run",
        tests=("onnx_programs",),
    ),
    Mutant(
        "onnx-default-kept-where-another-is-given", ONNX + "session.py",
        find="program = self._opened(self._model)",
        plant="program = self._program",
        fault="option ignored",
        seen="an initializer that is an input cannot be replaced",
        tests=("onnx_session",),
    ),
    Mutant(
        "onnx-input-handed-out", ONNX + "session.py",
        find="return made if alone else made.copy()",
        plant="return made",
        fault="missing copy",
        seen="who writes to an output changes the input, or a constant of the model",
        tests=("onnx_session",),
    ),
    Mutant(
        "onnx-scan-forgets-its-direction", ONNX + "control.py",
        find="np.moveaxis(array, axis, 0)[:: -1 if back else 1]",
        plant="np.moveaxis(array, axis, 0)",
        fault="option ignored",
        seen="a Scan that goes backwards goes forwards",
        tests=("onnx_programs",),
    ),
    Mutant(
        "onnx-loop-looks-at-its-condition-late", ONNX + "control.py",
        find="            if not going:\n                break\n            given",
        plant="            given",
        fault="missing check",
        seen="a Loop runs as often as it may, whatever its body says",
        tests=("onnx_programs",),
    ),
    Mutant(
        "onnx-open-size-stays-open", ONNX + "scope.py",
        find="        settle_reshapes(piece, {one.name for one in self.model.graph.input})\n",
        plant="",
        fault="empty arrays",
        seen="an empty batch fails in what PyTorch exports for two directions",
        tests=("onnx_whole_models",),
    ),
    Mutant(
        "onnx-runtime-spins", ONNX + "pieces.py",
        find='"session.intra_op.allow_spinning", "0"',
        plant='"session.intra_op.allow_spinning", "1"',
        fault="option ignored",
        seen="ONNX Runtime's threads take the cores from our kernels while they wait",
        tests=("onnx_session",),
    ),
    Mutant(
        "onnx-weights-compared-by-dtype", ONNX + "recurrence.py",
        find="kept.dtype == given.dtype and np.array_equal(kept, given)",
        plant="kept.dtype == given.dtype",
        fault="stale cache",
        seen="weights that are inputs stay those of the first run",
        tests=("onnx_backend",),
    ),
)  # fmt: skip
