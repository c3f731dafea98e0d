"""Faults in the package: checks of arguments, calls, layers, tapes, stacks, fresh weights."""

from __future__ import annotations

from tools.mutants.mutant import Mutant

SIMDRNN = "python/simdrnn/"
SPEC, ENGINE, LAYERS, STACK = (SIMDRNN + name for name in ("spec/", "engine/", "layers/", "stack/"))

_CHECKS = (
    Mutant(
        "lengths-beyond-the-steps", SIMDRNN + "validate.py",
        find="(rows < 0) | (rows > steps)",
        plant="rows < 0",
        fault="wrong argument accepted silently",
        seen="lengths larger than T read memory behind x",
        tests=("arguments",),
    ),
    Mutant(
        "chance-of-one", SIMDRNN + "validate.py",
        find="if not 0.0 <= number < 1.0:",
        plant="if not 0.0 <= number <= 1.0:",
        fault="border: <= for <",
        seen="zoneout=1.0 is taken, and states never change",
        tests=("options_arguments",),
    ),
    Mutant(
        "arrays-cast-in-silence", SIMDRNN + "validate.py",
        find='raise TypeError(f"{name}: expected dtype {dtype}, got {array.dtype}; '
        'convert it explicitly")',
        plant="return array.astype(dtype)",
        fault="dtype cast silent",
        seen="float64 input is rounded to float32 without a word",
        tests=("arguments",),
    ),
    Mutant(
        "out-may-overlap", SIMDRNN + "validate.py",
        find="if np.may_share_memory(out, array, max_work=_OVERLAP_WORK):",
        plant="if out is array:",
        fault="check loosened",
        seen="out= over x overwrites what is still to be read",
        tests=("arguments",),
    ),
    Mutant(
        "bool-counts-as-a-number", SIMDRNN + "validate.py",
        find="if not isinstance(value, numbers.Integral) or isinstance(value, bool):",
        plant="if not isinstance(value, numbers.Integral):",
        fault="wrong argument accepted silently",
        seen="hidden_size=True makes a layer of one unit",
        tests=("arguments",),
    ),
    Mutant(
        "masked-arrays-unmasked", SIMDRNN + "validate.py",
        find='raise TypeError(f"{name}: expected a plain array, got a masked array; '
        'use mask= instead")',
        plant="return value.data",
        fault="wrong argument accepted silently",
        seen="masked entries of x are computed with",
        tests=("arguments",),
    ),
    Mutant(
        "reset-to-learned-goes-to-state", LAYERS + "arguments.py",
        find="return None if from_default else self._learned.states(batch)",
        plant="return None",
        fault="wrong state at reset",
        seen='reset_state="learned" goes back to the given state',
        tests=("learned_states",),
    ),
    Mutant(
        "zero-states-of-a-larger-batch", LAYERS + "arguments.py",
        find="if known != batch:",
        plant="if known < batch:",
        fault="stale cache",
        seen="a call with a smaller batch than the one before fails",
        tests=("inputs_layers",),
    ),
    Mutant(
        "unbatched-lengths-lost", LAYERS + "arguments.py",
        find="None if lengths is None else as_lengths(lengths, steps, rows),",
        plant="None if lengths is None or rows is None else as_lengths(lengths, steps, rows),",
        fault="option ignored in one layout",
        seen="lengths= does nothing for unbatched input",
        tests=("arguments",),
    ),
    Mutant(
        "out-of-reset-state-not-checked", LAYERS + "arguments.py",
        find='inputs += [("reset_state", state) for state in run.reset_states or ()]',
        plant="pass",
        fault="check loosened",
        seen="out= over reset_state overwrites what resets go to",
        tests=("learned_states",),
    ),
)  # fmt: skip

_OPTIONS = (
    Mutant(
        "zoneout-of-c-not-saved", SPEC + "options.py",
        find="return any(self.zoneouts(states))",
        plant="return bool(self.zoneouts(states)[0])",
        fault="option ignored where it is the only one",
        seen="zoneout=(0.0, 0.3) cannot be recorded",
        tests=("options_draws",),
    ),
    Mutant(
        "cell-clip-without-a-cell", SPEC + "options.py",
        find='"cell_clip": (cell.states > 1, "a cell with a c state"),',
        plant='"cell_clip": (True, "a cell with a c state"),',
        fault="wrong argument accepted silently",
        seen="cell_clip is taken by a GRU and does nothing",
        tests=("options_arguments",),
    ),
    Mutant(
        "proj-clip-without-a-projection", SPEC + "options.py",
        find="if self.proj_clip is not None and not projected:",
        plant="if False:",
        fault="wrong argument accepted silently",
        seen="proj_clip is taken without proj_size and does nothing",
        tests=("arguments",),
    ),
    Mutant(
        "one-epsilon-for-all-norms", ENGINE + "compiled.py",
        find='"layer_norm_epsilon": None if norm is None else norm.epsilon,',
        plant='"layer_norm_epsilon": None if norm is None else 1e-5,',
        fault="wrong epsilon",
        seen='layer_norm="tf" differs from TensorFlow in the third digit',
        tests=("rows",),
    ),
    Mutant(
        "norm-biases-replace-the-layers", SPEC + "layer_norm.py",
        find="return (biases[0] + own[0], biases[1] + own[1]) if add else biases",
        plant="return own if add else biases",
        fault="dropped bias",
        seen='the layer\'s biases do nothing with layer_norm="tf"',
        tests=("layer_norm",),
    ),
    Mutant(
        "hard-sigmoid-of-another-package", SPEC + "activations.py",
        find='"hard_sigmoid": (0.2, 0.5),',
        plant='"hard_sigmoid": (0.25, 0.5),',
        fault="wrong constant",
        seen="hard_sigmoid is not ONNX's",
        tests=("activation_arguments",),
    ),
)  # fmt: skip

_RANDOM = (
    Mutant(
        "calls-draw-alike", ENGINE + "random_words.py",
        find="return (seed + _KEY_STEP * call) & _KEY_MASK",
        plant="return seed & _KEY_MASK",
        fault="wrong dropout counter",
        seen="every batch is dropped out the same way",
        tests=("dropout",),
    ),
    Mutant(
        "layers-draw-alike-in-numpy", ENGINE + "random_words.py",
        find="feature << 24 | stream",
        plant="feature << 24",
        fault="wrong dropout counter",
        seen="the reference and composed networks drop the same units in all layers",
        tests=("dropout",),
    ),
    Mutant(
        "recorded-calls-not-counted", LAYERS + "recurrent.py",
        find="self._recorded += 1",
        plant="pass",
        fault="wrong dropout counter",
        seen="every batch is dropped out the same way",
        tests=("dropout",),
    ),
    Mutant(
        "weight-dropout-not-scaled", LAYERS + "weight_noise.py",
        find="array *= array.dtype.type(1.0 / (1.0 - chance))",
        plant="pass",
        fault="wrong scale",
        seen="recurrent weights are smaller in training than at inference",
        tests=("weight_noise",),
    ),
    Mutant(
        "weight-dropout-not-differentiated", LAYERS + "weight_noise.py",
        find="_drop(params[name], mask, self.bound.options.weight_dropout or 0.0)",
        plant="pass",
        fault="option ignored in backward only",
        seen="dropped weights are updated",
        tests=("weight_noise",),
    ),
    Mutant(
        "weight-noise-alike-in-all-layers", LAYERS + "weight_noise.py",
        find="noise = _noise(array.shape, number, stream, deviation, key)",
        plant="noise = _noise(array.shape, number, 0, deviation, key)",
        fault="seed ignored",
        seen="layers and directions of one shape get the same noise",
        tests=("weight_noise",),
    ),
)  # fmt: skip

_COMPOSED = (
    Mutant(
        "composed-gradient-of-other-dropout", ENGINE + "composed.py",
        find=
        "for layer in reversed(range(len(self._networks))):\n            "
        "dropped = self._dropout(run, layer - 1)",
        plant=
        "for layer in reversed(range(len(self._networks))):\n            "
        "dropped = self._dropout(run, layer) if layer else None",
        fault="off by one",
        seen="merge and dropout together: wrong gradients",
        tests=("structure",),
    ),
    Mutant(
        "residual-added-at-padding", ENGINE + "composed.py",
        find="joined = joined + plan.where_real(below)",
        plant="joined = joined + below",
        fault="flag not read",
        seen="outputs at padding are not zero with residual=True",
        tests=("structure",),
    ),
    Mutant(
        "residual-not-differentiated", ENGINE + "composed.py",
        find="d_below += plan.where_real(d_above)",
        plant="pass",
        fault="option ignored in backward only",
        seen="gradients take no short cut with residual=True",
        tests=("structure",),
    ),
    Mutant(
        "composed-layers-draw-alike", ENGINE + "composed.py",
        find="key=(run.key + _KEY_STEP * layer) % 2**64,",
        plant="key=run.key,",
        fault="wrong dropout counter",
        seen="with merge all layers drop the same units",
        tests=("options_draws",),
    ),
    Mutant(
        "attention-of-the-first-layer", ENGINE + "composed.py",
        find="gradients.attention += plan.turn(found.attention)",
        plant="gradients.attention[...] = plan.turn(found.attention)",
        fault="lost accumulate",
        seen="gradients for attention are those of one layer",
        tests=("augru",),
    ),
    Mutant(
        "turned-resets-on-the-same-side", ENGINE + "steps.py",
        find="fresh[:-1] = (within & reset)[1:]",
        plant="fresh[:] = within & reset",
        fault="off by one",
        seen="reversed networks are reset a step too early",
        tests=("structure",),
    ),
    Mutant(
        "turned-rows-one-off", ENGINE + "steps.py",
        find="np.where(times < lengths, lengths - 1 - times, times)",
        plant="np.where(times < lengths - 1, lengths - 1 - times, times)",
        fault="border",
        seen="keep_order=False leaves a row's last step where it was",
        tests=("structure",),
    ),
    Mutant(
        "carried-states-miss-resets", ENGINE + "steps.py",
        find="np.where((self.real | self.fresh)[way], counts, -1)",
        plant="np.where(self.real[way], counts, -1)",
        fault="flag not read",
        seen="all_states shows old states after a reset at a masked step",
        tests=("all_states",),
    ),
    Mutant(
        "merge-product-gradients-swapped", ENGINE + "merge.py",
        find="np.multiply(d_joined, reverse, out=d_forward)",
        plant="np.multiply(d_joined, forward, out=d_forward)",
        fault="transposed merge",
        seen='wrong gradients with merge="mul"',
        tests=("structure_gradients",),
    ),
    Mutant(
        "merge-mean-gradient-not-halved", ENGINE + "merge.py",
        find="d_forward *= d_both.dtype.type(0.5)",
        plant="pass",
        fault="wrong scale",
        seen='gradients are twice too large with merge="ave"',
        tests=("structure_gradients",),
    ),
)  # fmt: skip

_TAPES = (
    Mutant(
        "tape-of-old-parameters", LAYERS + "recording.py",
        find="if bound.parameters.version != self.version:",
        plant="if False:",
        fault="check loosened",
        seen="backward after the optimiser's step gives gradients of nothing",
        tests=("calls",),
    ),
    Mutant(
        "learned-reset-has-no-gradient", LAYERS + "recording.py",
        find="used += [d_reset] if self.uses.learned_reset and d_reset is not None else []",
        plant="pass",
        fault="path of a gradient left out",
        seen="learned states do not learn from resets",
        tests=("differences",),
    ),
    Mutant(
        "all-states-one-place-off", LAYERS + "states.py",
        find="kept[:, :, place] for place in layout.other_states",
        plant="kept[:, :, place - 1] for place in layout.other_states",
        fault="off by one",
        seen="all_states gives a gate for c",
        tests=("all_states",),
    ),
    Mutant(
        "last-output-at-the-other-end", LAYERS + "states.py",
        find="if structure.reverse:\n        places",
        plant="if not structure.reverse:\n        places",
        fault="direction",
        seen="tape.last_output of residual networks is the first one",
        tests=("all_states",),
    ),
    Mutant(
        "checkpoint-border-too-many", ENGINE + "tape_sizes.py",
        find="borders = max(steps - 1, 0) // every",
        plant="borders = steps // every",
        fault="checkpoint window off by one",
        seen="checkpoint_every fails where it divides T",
        tests=("checkpoints",),
    ),
    Mutant(
        "budget-counted-without-the-tape", ENGINE + "tape_sizes.py",
        find="return self.nbytes(engine, steps, batch, every) + engine.backward_peak(run, every)",
        plant="return engine.backward_peak(run, every)",
        fault="memory counted short",
        seen="memory_budget is exceeded",
        tests=("memory_budget",),
    ),
    Mutant(
        "learned-states-of-one-row", LAYERS + "passes.py",
        find="d_use[index].sum(axis=1, dtype=np.float64)",
        plant="d_use[index][:, 0].astype(np.float64)",
        fault="lost sum",
        seen="learned states learn from the first row of the batch only",
        tests=("learned_states",),
    ),
)  # fmt: skip

_FRESH = (
    Mutant(
        "packed-weights-of-old-parameters", ENGINE + "packing.py",
        find="if self._version != self.source.version or self._token != self.network.token():",
        plant="if self._token != self.network.token():",
        fault="stale packed weights",
        seen="training changes nothing",
        tests=("weights",),
    ),
    Mutant(
        "packed-weights-of-another-isa", ENGINE + "packing.py",
        find="if self._version != self.source.version or self._token != self.network.token():",
        plant="if self._version != self.source.version:",
        fault="stale packed weights",
        seen="sr.isa.use() does not act on layers that have run",
        tests=("dispatch",),
    ),
    Mutant(
        "watched-arrays-not-compared", ENGINE + "packing.py",
        find="same = len(arrays) == len(self._kept) and all(",
        plant="same = len(arrays) == len(self._kept) or all(",
        fault="stale packed weights",
        seen="weights that PyTorch, Keras or JAX changed in place go unnoticed",
    ),
    Mutant(
        "copies-share-parameters", LAYERS + "parametrised.py",
        find='np.array(values[name], dtype, order="C")',
        plant='np.asarray(values[name], dtype, order="C")',
        fault="missing copy",
        seen="training a layer changes its copies, which do not notice",
        tests=("weights",),
    ),
    Mutant(
        "parameters-stay-writable", LAYERS + "parametrised.py",
        find="finally:\n            for array in arrays.values():\n"
        "                array.flags.writeable = False",
        plant="finally:\n            for array in ():\n"
        "                array.flags.writeable = False",
        fault="protection lost",
        seen="what an optimiser keeps of a step can change weights unnoticed",
        tests=("weights",),
    ),
    Mutant(
        "unknown-names-loaded-in-silence", LAYERS + "parametrised.py",
        find="if strict and (keys.missing_keys or keys.unexpected_keys):",
        plant="if strict and keys.missing_keys:",
        fault="wrong argument accepted silently",
        seen="load_state_dict drops weights of a larger model",
        tests=("inputs_parameters",),
    ),
)  # fmt: skip

_STACK = (
    Mutant(
        "stack-calls-not-counted", STACK + "stack.py",
        find="self._own_recorded += 1",
        plant="pass",
        fault="wrong dropout counter",
        seen="dropout between a stack's layers is the same in every batch",
        tests=("stack",),
    ),
    Mutant(
        "stack-gradient-of-other-dropout", STACK + "tape.py",
        find="dropped = call.multipliers(index - 1, d_below)",
        plant="dropped = call.multipliers(index, d_below)",
        fault="off by one",
        seen="wrong gradients in stacks with dropout",
        tests=("stack",),
    ),
    Mutant(
        "concat-gradient-of-one-layer", STACK + "tape.py",
        find="d_x = _sum(d_skipped, d_x)",
        plant="d_x = d_x if d_skipped is None else d_skipped",
        fault="lost accumulate",
        seen='gradients for x miss layers with skip="concat"',
        tests=("stack",),
    ),
    Mutant(
        "skip-gradient-at-padding", STACK + "skips.py",
        find="return where_real(kept, d_joined), d_joined, {}",
        plant="return d_joined, d_joined, {}",
        fault="lengths ignored backwards",
        seen="gradients of padding reach the layer below",
        tests=("stack",),
    ),
    Mutant(
        "highway-gate-learns-backwards", STACK + "highway.py",
        find="(d_real * (kept.made - kept.given)).reshape(shape)",
        plant="(d_real * (kept.given - kept.made)).reshape(shape)",
        fault="sign of a gradient",
        seen="highway gates learn the wrong way",
        tests=("stack_api",),
    ),
    Mutant(
        "highway-gate-shut-for-the-input", STACK + "highway.py",
        find="mixed = kept.gate * made + (1 - kept.gate) * given",
        plant="mixed = kept.gate * made + kept.gate * given",
        fault="swapped gate",
        seen="highways do not interpolate",
        tests=("stack",),
    ),
)  # fmt: skip

MUTANTS = (*_CHECKS, *_OPTIONS, *_RANDOM, *_COMPOSED, *_TAPES, *_FRESH, *_STACK)
