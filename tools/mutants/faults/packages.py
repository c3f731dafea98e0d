"""Faults in the package: initialisers, penalties, files, dialects, diagnosis, the reference."""

from __future__ import annotations

from tools.mutants.mutant import Mutant

SIMDRNN = "python/simdrnn/"

_INIT = (
    Mutant(
        "orthogonal-signs-of-qr", SIMDRNN + "init/weights.py",
        find="factor = factor * np.where(np.diag(triangle) < 0, -1.0, 1.0)",
        plant="factor = factor * 1.0",
        fault="missing correction",
        seen="orthogonal matrices are not uniformly distributed",
        tests=("init",),
    ),
    Mutant(
        "chrono-one-step-too-long", SIMDRNN + "init/biases.py",
        find="rng.uniform(1.0, float(self.t_max) - 1.0, hidden)",
        plant="rng.uniform(1.0, float(self.t_max), hidden)",
        fault="border",
        seen="chrono remembers longer than t_max",
        tests=("init_time_scales",),
    ),
    Mutant(
        "mirror-bias-of-the-same-sign", SIMDRNN + "init/biases.py",
        find="block.set_bias(cell.write, -bias)",
        plant="block.set_bias(cell.write, bias)",
        fault="sign",
        seen="chrono opens input gates that it should shut",
        tests=("init",),
    ),
    Mutant(
        "initialisers-draw-alike", SIMDRNN + "init/base.py",
        find="rng = np.random.default_rng(stream)",
        plant="rng = np.random.default_rng(streams[0])",
        fault="seed ignored",
        seen="weight_ih and weight_hh begin with the same numbers",
        tests=("init",),
    ),
    Mutant(
        "glorot-fan-of-all-gates", SIMDRNN + "init/weights.py",
        find="[weights.reshape(-1, weights.shape[-1])] if self.fused else weights",
        plant="[weights.reshape(-1, weights.shape[-1])]",
        fault="option ignored",
        seen="fused=False does nothing",
        tests=("init",),
    ),
    Mutant(
        "forget-bias-twice", SIMDRNN + "spec/parameters.py",
        find="values[name][forget] = forget_bias if first else 0.0",
        plant="values[name][forget] = forget_bias",
        fault="bias counted twice",
        seen="forget_bias=1 is 2",
        tests=("weights",),
    ),
)  # fmt: skip

_PENALTIES = (
    Mutant(
        "tar-across-episodes", SIMDRNN + "regularizers/activations.py",
        find="pairs = real[1:] & real[:-1] & ~starts[1:]",
        plant="pairs = real[1:] & real[:-1]",
        fault="flag not read",
        seen="the jump at a reset is penalised",
        tests=("regularizers",),
    ),
    Mutant(
        "l2-gradient-halved", SIMDRNN + "regularizers/weights.py",
        find="2.0 * factor * w)",
        plant="factor * w)",
        fault="wrong scale",
        seen="l2's gradient is half of its value's",
        tests=("regularizers",),
    ),
    Mutant(
        "wide-matrices-not-turned-back", SIMDRNN + "regularizers/weights.py",
        find="if tall is not weights:",
        plant="if False:",
        fault="transposed",
        seen="orthogonality of wide matrices gets a gradient of another layout",
        tests=("regularizers",),
    ),
    Mutant(
        "max-norm-per-row-always", SIMDRNN + "regularizers/constraints.py",
        find='gates_of(layer, name, array) if per == "unit" else 1',
        plant="1",
        fault="option ignored",
        seen='per="unit" does what per="row" does',
        tests=("regularizers",),
    ),
)  # fmt: skip

_FILES = (
    Mutant(
        "checksum-not-compared", SIMDRNN + "files/__init__.py",
        find="if found != _checksum(document, arrays):",
        plant="if found is None:",
        fault="file CRC unchecked",
        seen="damaged files load",
        tests=("files_damaged",),
    ),
    Mutant(
        "checksum-without-names", SIMDRNN + "files/__init__.py",
        find='check = zlib.crc32(f"{name} {array.dtype.str} {array.shape}".encode(), check)',
        plant="pass",
        fault="file CRC of a part",
        seen="files whose arrays have changed names load",
        equivalent="what the sum would miss is refused all the same: names, shapes and dtypes when "
        "parameters are taken, and arrays that change names change the order that is summed in",
    ),
    Mutant(
        "zip-members-may-overlap", SIMDRNN + "files/npz.py",
        find="if sum(member.file_size for member in members) > size:",
        plant="if False:",
        fault="error check loosened",
        seen="a small file can ask for much memory",
    ),
    Mutant(
        "names-may-come-twice", SIMDRNN + "files/paths.py",
        find="if len(found) != len(pairs):",
        plant="if False:",
        fault="error check loosened",
        seen="readers differ on what a file says",
    ),
    Mutant(
        "newer-files-are-read", SIMDRNN + "files/loading.py",
        find="if form > FORMAT:",
        plant="if form > 1000 * FORMAT:",
        fault="error check loosened",
        seen="files of a later version load wrongly",
    ),
    Mutant(
        "recorded-calls-not-restored", SIMDRNN + "files/loading.py",
        find='go_on(made, _recorded(document["recorded"], recorded_calls(made)))',
        plant="pass",
        fault="state not restored",
        seen="training that goes on from a file repeats its dropout",
    ),
    Mutant(
        "failed-save-leaves-a-file", SIMDRNN + "files/atomic.py",
        find="        if name is not None:\n            name.unlink(missing_ok=True)",
        plant="        pass",
        fault="not cleaned up",
        seen="temporary files stay behind after a failed save",
    ),
)  # fmt: skip

_DIALECTS = (
    Mutant(
        "z-not-negated", SIMDRNN + "dialects/blocks.py",
        find='if gate == "z" and direction.layout.z_flipped != layout.z_flipped:',
        plant="if False:",
        fault="swapped gate",
        seen="GRUs of packages with the other z predict garbage",
    ),
    Mutant(
        "added-forget-bias-the-wrong-way", SIMDRNN + "dialects/blocks.py",
        find="direction.layout.forget_bias - layout.forget_bias",
        plant="layout.forget_bias - direction.layout.forget_bias",
        fault="sign",
        seen="LSTMs of TensorFlow 1 and Haiku forget too much",
    ),
    Mutant(
        "gates-permuted-the-other-way", SIMDRNN + "dialects/arrays.py",
        find="[blocks[source.index(gate)] for gate in target]",
        plant="[blocks[target.index(gate)] for gate in source]",
        fault="swapped gates",
        seen="permute_gates is right only for orders that are their own inverse",
    ),
    Mutant(
        "second-bias-not-added", SIMDRNN + "dialects/blocks.py",
        find="rest: Any = shift if second is None else second.astype(wide) + wide(shift)",
        plant="rest: Any = shift",
        fault="dropped bias",
        seen="bias_hh is lost on the way to packages with one bias",
    ),
)  # fmt: skip

_DIAGNOSIS = (
    Mutant(
        "first-nonfinite-backwards-by-time", SIMDRNN + "diagnosis/nonfinite.py",
        find='[:: 1 if during == "forward" else -1]',
        plant="[::1]",
        fault="wrong step order",
        seen="diagnose names the last step that NaN reached, not the first",
    ),
    Mutant(
        "norm-of-gradients-before-the-clip", SIMDRNN + "diagnosis/measures.py",
        find="arriving = np.clip(arriving, -clip, clip)",
        plant="pass",
        fault="two options at once",
        seen="diagnose counts more rows clipped by norm than were",
    ),
    Mutant(
        "stretches-count-masked-steps", SIMDRNN + "diagnosis/recorded.py",
        find="before = np.cumsum(real, axis=0) - real",
        plant="before = np.cumsum(np.ones_like(real), axis=0) - 1",
        fault="flag not read",
        seen="diagnose's slope per step counts padding",
    ),
    Mutant(
        "gates-that-hold-on-are-saturated", SIMDRNN + "diagnosis/findings.py",
        find="gate.left_by_unit * ~holding",
        plant="gate.left_by_unit * 1.0",
        fault="flag not read",
        seen="diagnose calls the shut input gates of a healthy LSTM with long memory saturated",
    ),
    Mutant(
        "jacobians-of-the-layers-own-weights", SIMDRNN + "diagnosis/recorded.py",
        find="bound, arrays = self.recording.used, self.recording.arrays",
        plant="bound, arrays = self.recording.bound, self.recording.arrays",
        fault="stale weights",
        seen="diagnose looks at weights without the noise of the call",
    ),
)  # fmt: skip

_REFERENCE = (
    Mutant(
        "reference-norm-before-the-clip", SIMDRNN + "reference/options.py",
        find="norm = np.linalg.norm(d_hidden, axis=-1, keepdims=True)",
        plant="norm = np.linalg.norm(d_hidden, keepdims=True)",
        fault="wrong axis",
        seen="the reference clips a batch's norm, not each row's",
    ),
    Mutant(
        "reference-parts-of-a-gradient-overwrite", SIMDRNN + "reference/autodiff.py",
        find="self.received[index] += gradient",
        plant="self.received[index] = gradient",
        fault="lost accumulate",
        seen="the reference's gradients miss paths of what is used twice",
    ),
    Mutant(
        "reference-quotient-gradient-sign", SIMDRNN + "reference/autodiff.py",
        find="lambda d, y, a, b: -d * y / b)",
        plant="lambda d, y, a, b: d * y / b)",
        fault="sign of a gradient",
        seen="the reference's gradients are wrong wherever it divides",
    ),
    Mutant(
        "reference-mask-of-the-first-gate", SIMDRNN + "reference/sequence.py",
        find="self.cell.operand(first, (seen[-1], *state[1:]), p)",
        plant="self.cell.operand(first, (seen[0], *state[1:]), p)",
        fault="index",
        seen="the reference's reset gate multiplies another gate's h with dropout per gate",
    ),
    Mutant(
        "reference-checkpoints-one-late", SIMDRNN + "reference/checkpoints.py",
        find="run.steps.order[every::every]",
        plant="run.steps.order[every - 1 :: every]",
        fault="checkpoint window off by one",
        seen="the reference's gradients differ with checkpoint_every",
    ),
    Mutant(
        "reference-norm-of-each-gate", SIMDRNN + "reference/layer_norm.py",
        find="away = rows - rows.mean(axis=(-3, -1), keepdims=True)",
        plant="away = rows - rows.mean(axis=(-1,), keepdims=True)",
        fault="wrong axis",
        seen="the reference normalises gate by gate",
    ),
    Mutant(
        "reference-heads-joined-across", SIMDRNN + "reference/heads.py",
        find="return made.swapaxes(1, 2).reshape(gates, batch, hidden)",
        plant="return made.reshape(gates, batch, hidden)",
        fault="transposed merge",
        seen="the reference mixes units of heads",
    ),
)  # fmt: skip

MUTANTS = (*_INIT, *_PENALTIES, *_FILES, *_DIALECTS, *_DIAGNOSIS, *_REFERENCE)
