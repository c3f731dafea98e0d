"""Faults in the package: losses, modules, clips, chunks, gradient checks, optimisers."""

from __future__ import annotations

from tools.mutants.mutant import Mutant

TRAINING, OPTIM = "python/simdrnn/training/", "python/simdrnn/optim/"
GRADCHECK = TRAINING + "gradcheck/"

_LOSSES = (
    Mutant(
        "cross-entropy-averages-padding", TRAINING + "losses.py",
        find="count = math.prod(positions) if real is None else int(np.count_nonzero(real))",
        plant="count = math.prod(positions)",
        fault="wrong count",
        seen="losses of padded batches are too small",
    ),
    Mutant(
        "mse-gradient-halved", TRAINING + "losses.py",
        find="2.0 * d_value / max(count, 1)",
        plant="d_value / max(count, 1)",
        fault="wrong scale",
        seen="gradients of mse are half of what they are",
    ),
    Mutant(
        "cross-entropy-learns-from-padding", TRAINING + "losses.py",
        find="at_target[~real] = 0.0",
        plant="pass",
        fault="mask ignored backwards",
        seen="padding pulls class 0 up",
    ),
    Mutant(
        "logits-not-shifted", TRAINING + "losses.py",
        find="shifted = scores - scores.max(axis=-1, keepdims=True)",
        plant="shifted = scores.copy()",
        fault="overflow",
        seen="large logits give NaN",
    ),
    Mutant(
        "linear-bias-summed-in-float32", TRAINING + "modules.py",
        find="d_rows.sum(axis=0, dtype=np.float64).astype(module.dtype)",
        plant="d_rows.sum(axis=0)",
        fault="precision",
        seen="bias gradients of large batches lose digits",
    ),
    Mutant(
        "linear-gradient-of-new-weights", TRAINING + "modules.py",
        find='_check_version("Linear", self._version, parameters_of(module).version)',
        plant="pass",
        fault="check loosened",
        seen="backward after the optimiser's step gives gradients of nothing",
    ),
    Mutant(
        "embedding-indices-wrap", TRAINING + "modules.py",
        find="if low < 0 or high >= stop:",
        plant="if high >= stop:",
        fault="wrong argument accepted silently",
        seen="token -1 is the last word",
    ),
    Mutant(
        "embedding-keeps-the-callers-array", TRAINING + "modules.py",
        find="return EmbeddingTape(self(x), self, np.array(x))",
        plant="return EmbeddingTape(self(x), self, np.asarray(x))",
        fault="missing copy",
        seen="a reused batch buffer changes gradients",
    ),
)  # fmt: skip

_CLIPS = (
    Mutant(
        "clip-norm-without-epsilon", TRAINING + "clip.py",
        find="scale = limit / (norm + 1e-6)",
        plant="scale = limit / (norm + 1e-3)",
        fault="wrong epsilon",
        seen="clipped gradients are not PyTorch's",
    ),
    Mutant(
        "clip-infinity-norm-one-sided", TRAINING + "clip.py",
        find="np.maximum(array.max(), -array.min())",
        plant="array.max()",
        fault="case left out",
        seen="large negative gradients are not clipped by norm_type=inf",
    ),
    Mutant(
        "clip-norm-of-the-first-block", TRAINING + "clip.py",
        find="total += float(block.sum())",
        plant="total = float(block.sum())",
        fault="lost accumulate",
        seen="norms of large gradients are those of their last part",
    ),
    Mutant(
        "chunk-lengths-from-the-start", TRAINING + "truncated.py",
        find="np.clip(run.lengths - start, 0, stop - start)",
        plant="np.clip(run.lengths, 0, stop - start)",
        fault="offset left out",
        seen="tbptt goes on behind the ends of rows",
    ),
    Mutant(
        "chunk-mask-lost-behind-a-reset", TRAINING + "truncated.py",
        find="mask=mask if run.mask is None else mask & run.mask[:, rows],",
        plant="mask=mask,",
        fault="two arguments at once",
        seen="tbptt consumes masked steps after a reset",
    ),
    Mutant(
        "chunk-gradient-over-a-reset", TRAINING + "chunk_tape.py",
        find="carried = [_only(~self._renewed, member) for member in carried]",
        plant="pass",
        fault="wrong state at reset",
        seen="gradients leak into the chunk before a reset",
    ),
    Mutant(
        "chunk-parameters-of-one-recording", TRAINING + "chunk_tape.py",
        find="grads.params[name] += value",
        plant="pass",
        fault="lost accumulate",
        seen="weights do not learn from rows that were reset inside a chunk",
    ),
    Mutant(
        "gradcheck-skips-what-is-wrong", GRADCHECK + "probe.py",
        find="if kink and not difference <= tolerance:",
        plant="if not difference <= tolerance:",
        fault="error check loosened",
        seen="gradcheck takes wrong gradients for kinks",
    ),
    Mutant(
        "gradcheck-tolerates-much", GRADCHECK + "probe.py",
        find="tolerance = 1.5 * noise + eps * abs(wide - near)",
        plant="tolerance = 1.5e6 * noise + abs(wide - near)",
        fault="error check loosened",
        seen="gradcheck passes gradients that are off in the fourth digit",
    ),
)  # fmt: skip

_OPTIM = (
    Mutant(
        "adam-correction-one-step-late", OPTIM + "adam.py",
        find="a /= math.sqrt(1.0 - beta2**self._steps)",
        plant="a /= math.sqrt(1.0 - beta2 ** (self._steps + 1))",
        fault="off by one",
        seen="Adam's first steps are too large",
    ),
    Mutant(
        "adamw-decay-without-rate", OPTIM + "adam.py",
        find="p *= 1.0 - self.lr * self._weight_decay",
        plant="p *= 1.0 - self._weight_decay",
        fault="factor left out",
        seen="AdamW takes weights to zero",
    ),
    Mutant(
        "amsgrad-forgets-its-largest", OPTIM + "adam.py",
        find='np.maximum(state["max_exp_avg_sq"], square, out=state["max_exp_avg_sq"])',
        plant='np.maximum(state["max_exp_avg_sq"], square)',
        fault="state not kept",
        seen="amsgrad=True does nothing",
    ),
    Mutant(
        "rmsprop-variance-the-other-way", OPTIM + "rmsprop.py",
        find="np.subtract(square, a, out=a)",
        plant="np.subtract(a, square, out=a)",
        fault="sign",
        seen="centered RMSprop diverges",
    ),
    Mutant(
        "sgd-dampens-the-first-step", OPTIM + "sgd.py",
        find="if self._steps == 1:",
        plant="if self._steps == 0:",
        fault="off by one",
        seen="SGD with dampening starts slower than PyTorch's",
    ),
    Mutant(
        "nesterov-ignored", OPTIM + "sgd.py",
        find="g = np.add(g, product, out=decayed)",
        plant="g = buffer",
        fault="option ignored",
        seen="nesterov=True is plain momentum",
    ),
    Mutant(
        "last-block-not-updated", OPTIM + "base.py",
        find="for start in range(0, p.size, _BLOCK):",
        plant="for start in range(0, max(p.size - _BLOCK, 1), _BLOCK):",
        fault="border of a block",
        seen="the last weights of large matrices do not learn",
    ),
    Mutant(
        "loaded-optimiser-starts-again", OPTIM + "base.py",
        find="self._steps, self._lr = int(steps), lr",
        plant="self._lr = lr",
        fault="state not restored",
        seen="Adam's bias correction is off after loading",
    ),
    Mutant(
        "scattered-parameters-not-written-back", OPTIM + "base.py",
        find="parameter[...] = p.reshape(parameter.shape)",
        plant="pass",
        fault="missing copy",
        seen="arrays that are not contiguous do not learn",
    ),
    Mutant(
        "reduction-that-returns-is-taken", OPTIM + "reduction.py",
        find="if result is not None and result is not buffer:",
        plant="if False:",
        fault="error check loosened",
        seen="workers whose hook returns the mean train apart",
    ),
    Mutant(
        "gradients-overlap-in-the-buffer", OPTIM + "reduction.py",
        find="sizes[leaf.dtype] = start + math.prod(leaf.shape)",
        plant="sizes[leaf.dtype] = max(start, math.prod(leaf.shape))",
        fault="wrong stride",
        seen="clipping mixes the gradients of parameters",
    ),
    Mutant(
        "parameter-listed-twice", OPTIM + "tree.py",
        find="if id(item) in seen:",
        plant="if False:",
        fault="error check loosened",
        seen="a layer that is listed twice makes two steps at once",
    ),
)  # fmt: skip

MUTANTS = (*_LOSSES, *_CLIPS, *_OPTIM)
