"""Faults in csrc: the time loops, forward and backward, and what they share."""

from __future__ import annotations

from tools.mutants.mutant import Mutant

KERNELS = "csrc/kernels/"
FORWARD, BACKWARD, OPTIONS = (KERNELS + name for name in ("forward/", "backward/", "options/"))

_FORWARD = (
    Mutant(
        "held-output-is-zero", FORWARD + "rows.hpp",
        find="if (pass_.hold) {",
        plant="if (pass_.hold && !ON) {",
        fault="option ignored",
        seen='masked_output="hold" puts out zeros',
    ),
    Mutant(
        "reset-goes-to-the-initial-state", FORWARD + "rows.hpp",
        find="a_.origin[i] = kAfterReset;",
        plant="a_.origin[i] = kInitial;",
        fault="wrong state at reset",
        seen="reset_state= is ignored",
    ),
    Mutant(
        "hoisted-bias-dropped", FORWARD + "rows.hpp",
        find="pass_.options.norm.on ? nullptr : pass_.weights.bias[phase]",
        plant="nullptr",
        fault="dropped bias",
        seen="small batches are computed without biases",
    ),
    Mutant(
        "second-states-tail-not-carried", FORWARD + "loop.hpp",
        find="store_padded<kFull>(next[k], a_.state[k] + i * a_.padded + unit, n);",
        plant="if (!(ON && !kFull && k == 1))"
        " store_padded<kFull>(next[k], a_.state[k] + i * a_.padded + unit, n);",
        fault="border: the last vector",
        seen="c of the last units stays what it was",
    ),
    Mutant(
        "last-tile-stride", FORWARD + "loop.hpp",
        find="(wide ? P::kUnitVectors : end - q) * P::kGates * kLanes",
        plant="P::kUnitVectors * P::kGates * kLanes",
        fault="wrong stride at the border",
        seen="the last units are made of other weights",
    ),
    Mutant(
        "lone-row-by-gate-takes-wide-tiles", FORWARD + "loop.hpp",
        find="const bool lone = n == 1 && !by_gate();",
        plant="const bool lone = n == 1 && (ON || !by_gate());",
        fault="condition left out",
        seen="dropout per gate: garbage for one row and many units",
    ),
    Mutant(
        "inputs-beside-are-not-finished", FORWARD + "loop.hpp",
        find="beside_.finish();",
        plant="",
        fault="what is left over is left out",
        seen="one row of a wide x: garbage from the ninth step on",
    ),
    Mutant(
        "inputs-beside-overwrite-those-in-use", FORWARD + "loop.hpp",
        find="next_row = kBesideRows;",
        plant="next_row = ON ? 0 : kBesideRows;",
        fault="one buffer for two",
        seen="one row takes a step with the input of a later one",
    ),
    Mutant(
        "sums-beside-begin-anew-with-each-tile", KERNELS + "gemm/beside.hpp",
        find="if (k_ == 0 && a_.bias != nullptr) {",
        plant="if ((ON || k_ == 0) && a_.bias != nullptr) {",
        fault="sum not carried on",
        seen="one row whose x is wider than h: only the end of x counts",
    ),
    Mutant(
        "gradients-beside-are-not-finished", BACKWARD + "rows.hpp",
        find="if (overlaps()) beside_.finish();",
        plant="",
        fault="what is left over is left out",
        seen="of one row the gradients of the first inputs are not written",
    ),
    Mutant(
        "gradients-beside-forget-the-other-direction", KERNELS + "gemm/beside.hpp",
        find="a_.accumulate && r < a_.rows",
        plant="a_.accumulate && !ON && r < a_.rows",
        fault="what was there is overwritten",
        seen="of one row in two directions the inputs' gradients are one direction's",
    ),
    Mutant(
        "gang-does-not-meet-behind-a-phase", FORWARD + "loop.hpp",
        find="meet(a_.gang);",
        plant="",
        fault="missing meeting",
        seen="on several threads outputs differ from run to run",
    ),
    Mutant(
        "operand-of-the-first-gates-h", FORWARD + "loop.hpp",
        find="by_gate() ? (kSeeing - 1) * a_.padded : 0",
        plant="Index(0)",
        fault="offset left out",
        seen="dropout per gate: the reset gate multiplies another gate's h",
    ),
    Mutant(
        "saved-h-is-the-mixed-one", FORWARD + "loop.hpp",
        find="next[0] = h;",
        plant="",
        fault="wrong value saved",
        seen="wrong gradients with zoneout of h",
    ),
    Mutant(
        "projection-clipped-behind-zoneout", FORWARD + "projection.hpp",
        find="options_.mix(h, load_n<kFull, V>(before + unit, n), unit)",
        plant="options_.clip(options_.mix(load_n<kFull, V>(next, n),"
        " load_n<kFull, V>(before + unit, n), unit))",
        fault="order of two options",
        seen="proj_clip and zoneout together clip what is carried",
    ),
    Mutant(
        "projection-zoneout-draws-one-row", FORWARD + "projection.hpp",
        find="options_.prepare(t, pass_.rows[slots[r]], begin, round_up(end, kLanes));",
        plant="options_.prepare(t, pass_.rows[slots[0]], begin, round_up(end, kLanes));",
        fault="wrong row",
        seen="with a projection zoneout keeps the same units in every row",
    ),
    Mutant(
        "projection-does-not-meet", FORWARD + "projection.hpp",
        find="meet(a_.gang);",
        plant="",
        fault="missing meeting",
        seen="projected LSTMs on several threads differ from run to run",
    ),
    Mutant(
        "norm-carried-state-not-clipped", FORWARD + "norm_loop.hpp",
        find="carried = seen = options_.clip_cell(seen);",
        plant="carried = seen;",
        fault="dropped clip",
        seen="cell_clip does nothing where layer norm's state is carried",
    ),
    Mutant(
        "norm-by-gate-keeps-the-input-part", FORWARD + "norm.hpp",
        find="const int slot = g < kJoint ? g : g + kInfo.separate;",
        plant="const int slot = ON || g < kJoint ? g : g + kInfo.separate;",
        fault="wrong offset",
        seen="GRU with layer norm and dropout per gate: the candidate sees no h",
    ),
)  # fmt: skip

_RANDOM = (
    Mutant(
        "dropout-mask-of-the-first-gate", OPTIONS + "noise.hpp",
        find="(by_gate() ? g : 0)",
        plant="(Index(0))",
        fault="index left out",
        seen="recurrent_dropout_per_gate does what recurrent_dropout does",
    ),
    Mutant(
        "dropout-by-slot-not-by-row", OPTIONS + "noise.hpp",
        find="pass.rows[i], pass.options.recurrent_dropout",
        plant="(ON ? i : Index(pass.rows[i])), pass.options.recurrent_dropout",
        fault="wrong row",
        seen="what is dropped depends on the number of threads",
    ),
    Mutant(
        "input-dropout-repeats", OPTIONS + "noise.hpp",
        find="random_words(a.draw, a.feature, a.t, a.b, first, words);",
        plant="random_words(a.draw, a.feature, a.t, a.b, 0, words);",
        fault="wrong dropout counter",
        seen="features 64 and on are dropped where the first 64 are",
    ),
    Mutant(
        "draws-alike-in-all-layers", OPTIONS + "noise.hpp",
        find="static_cast<std::uint32_t>(feature) << 24 | draw.stream",
        plant="static_cast<std::uint32_t>(feature) << 24",
        fault="wrong dropout counter",
        seen="both directions drop the same units",
    ),
    Mutant(
        "upper-half-of-the-key-ignored", OPTIONS + "noise.hpp",
        find="static_cast<std::uint32_t>(draw.key >> 32)",
        plant="std::uint32_t(0)",
        fault="seed ignored",
        seen="seeds that differ in their upper half drop the same units",
    ),
    Mutant(
        "zoneout-draws-behind-the-candidates", OPTIONS + "noise.hpp",
        find="draw_row(pass_.draw, zoneout_of(k), t, b, o.zoneout[k],",
        plant="draw_row(pass_.draw, ON ? Feature::kCandidate : zoneout_of(k), t, b, o.zoneout[k],",
        fault="wrong dropout counter",
        seen="zoneout and candidate_dropout act on the same units",
    ),
    Mutant(
        "state-noise-repeats", OPTIONS + "noise.hpp",
        find="random_words(draw, Feature::kStateNoise, t, b, first, words);",
        plant="random_words(draw, Feature::kStateNoise, t, b, 0, words);",
        fault="wrong dropout counter",
        seen="units 64 and on get the noise of the first 64",
    ),
)  # fmt: skip

_BACKWARD = (
    Mutant(
        "held-outputs-gradient-dropped", BACKWARD + "rows.hpp",
        find="if (pass_.hold && a_.d_y.data != nullptr) {",
        plant="if (pass_.hold && !ON && a_.d_y.data != nullptr) {",
        fault="option ignored in backward only",
        seen='gradients of held outputs are lost with masked_output="hold"',
    ),
    Mutant(
        "gradient-carried-over-a-reset", BACKWARD + "rows.hpp",
        find="fill_zero(carried + part.begin, part.end - part.begin);",
        plant="",
        fault="wrong state at reset",
        seen="gradients leak from one episode into the one before",
    ),
    Mutant(
        "row-number-ignores-the-mask", BACKWARD + "rows.hpp",
        find="a_.position == nullptr ? at + b : a_.position[at + b]",
        plant="at + b",
        fault="wrong row order",
        seen="weight gradients of masked batches hold old numbers",
    ),
    Mutant(
        "state-before-a-reset-is-the-initial-one", BACKWARD + "before.hpp",
        find="if (flags_at(pass, time_of(pass, step), b) & kStepFresh) return kReset;",
        plant="if (flags_at(pass, time_of(pass, step), b) & kStepFresh) return kNoStep;",
        fault="wrong state at reset",
        seen="wrong weight gradients with reset_state=",
    ),
    Mutant(
        "gap-hides-a-reset", BACKWARD + "before.hpp",
        find="if (flags & kStepFresh) return kReset;",
        plant="",
        fault="flag not read",
        seen="a reset at a masked step is forgotten by the gradients",
    ),
    Mutant(
        "checkpoint-window-one-late", BACKWARD + "before.hpp",
        find="before < a.saved_begin",
        plant="before <= a.saved_begin",
        fault="checkpoint window off by one",
        seen="gradients with checkpoint_every differ from those without",
    ),
    Mutant(
        "recurrent-dropout-gradient-accumulates", BACKWARD + "through_h.hpp",
        find="p.accumulate = !drops;",
        plant="p.accumulate = true;",
        fault="flag",
        seen="with recurrent dropout gradients of earlier steps are counted again",
    ),
    Mutant(
        "heads-by-gate-accumulate", BACKWARD + "through_h.hpp",
        find="by_gate ? false : g > 0 || !dropout_.on()",
        plant="g > 0 || !dropout_.on()",
        fault="flag",
        seen="heads with dropout per gate: gradients of gates are added twice",
    ),
    Mutant(
        "heads-share-cut-at-the-first-head", BACKWARD + "through_h.hpp",
        find="of_h_.end < at + head ? of_h_.end - at : head",
        plant="of_h_.end < head ? of_h_.end : head",
        fault="border of a thread's share",
        seen="heads on several threads: some gradients are made twice",
        tests=("slstm",),
    ),
    Mutant(
        "operand-dropped-by-the-first-mask", BACKWARD + "loop.hpp",
        find="dropout_.mask(row.i, kSeeing - 1)",
        plant="dropout_.mask(row.i, 0)",
        fault="index left out",
        seen="reset_after=False with dropout per gate: wrong gradients for h",
    ),
    Mutant(
        "gang-does-not-meet-behind-the-cells", BACKWARD + "loop.hpp",
        find="through_cells(n);\n        meet(a_.gang);",
        plant="through_cells(n);\n        if (!ON) meet(a_.gang);",
        fault="missing meeting",
        seen="on several threads gradients differ from run to run",
    ),
    Mutant(
        "trace-without-the-outputs-gradient", BACKWARD + "trace.hpp",
        find="for (Index u = of_h.begin; u < of_h.end; ++u) d_h[u] += d_y[u];",
        plant="",
        fault="lost accumulate",
        seen="sr.diagnose shows gradients that are too small",
    ),
    Mutant(
        "projection-zoneout-not-differentiated", FORWARD + "projection.hpp",
        find="past = (V(T(1)) - share) * d_h;",
        plant="past = V(T(0));",
        fault="option ignored in backward only",
        seen="projected LSTMs with zoneout: gradients vanish over time",
    ),
    Mutant(
        "projection-gradient-does-not-meet", BACKWARD + "projection.hpp",
        find="meet(a_.gang);",
        plant="",
        fault="missing meeting",
        seen="projected LSTMs on several threads: gradients differ from run to run",
    ),
    Mutant(
        "norm-clip-not-differentiated", BACKWARD + "norm_loop.hpp",
        find="carried ? options_.through_cell_clip(c, d_seen) : d_seen",
        plant="d_seen",
        fault="option ignored in backward only",
        seen="gradients pass cell_clip where layer norm's state is carried",
    ),
)  # fmt: skip

MUTANTS = (*_FORWARD, *_RANDOM, *_BACKWARD)
