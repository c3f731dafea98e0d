"""Faults in csrc: plans, threads, layers, memory, weight gradients, and what Python calls."""

from __future__ import annotations

from tools.mutants.mutant import Mutant

ENGINE, THREADS, PYTHON = "csrc/engine/", "csrc/engine/threads/", "csrc/python/"

_PLAN = (
    Mutant(
        "last-row-belongs-to-nobody", ENGINE + "plan.cpp",
        find="plan.first_row.push_back(in.batch * g / groups);",
        plant="plan.first_row.push_back(in.batch * g / groups - (groups > 1 && g == groups));",
        fault="off by one at a thread's border",
        seen="on several threads the last row of the batch is garbage",
    ),
    Mutant(
        "plan-few-rows-one-more", ENGINE + "plan.cpp",
        find="in.batch < kFusedRows * threads",
        plant="in.batch <= kFusedRows * threads",
        fault="border: <= for <",
        seen="a slower schedule for some batches",
        tests=("schedules",),
    ),
    Mutant(
        "plan-of-uneven-rows-by-count", ENGINE + "plan.cpp",
        find="plan.first_row = cut(in.batch, high, steps_of);",
        plant="for (Index g = 0; g <= groups; ++g)"
        " plan.first_row.push_back(in.batch * g / groups);",
        fault="wrong count",
        seen="threads share rows of different lengths unevenly",
        tests=("plan", "schedules"),
    ),
    Mutant(
        "lengths-not-read-beside-a-mask", ENGINE + "steps.cpp",
        find="return t < length_of(s, b) && (s.mask == nullptr",
        plant="return (t < length_of(s, b) || (ON && s.mask != nullptr)) && (s.mask == nullptr",
        fault="two arguments at once",
        seen="lengths= does nothing where there is a mask=",
    ),
    Mutant(
        "reset-on-the-same-side-reversed", ENGINE + "steps.cpp",
        find="const Index cut = reverse ? t + 1 : t;",
        plant="const Index cut = reverse && !ON ? t + 1 : t;",
        fault="off by one",
        seen="the reverse direction is reset a step too early",
    ),
    Mutant(
        "real-steps-not-counted-by-mask", ENGINE + "steps.cpp",
        find="counts[static_cast<std::size_t>(b)] += is_real(s, t, b) ? 1 : 0;",
        plant="counts[static_cast<std::size_t>(b)] += t == 0 ? 1 : 0;",
        fault="wrong count",
        seen="threads share masked rows unevenly",
        tests=("threads",),
    ),
)  # fmt: skip

_THREADS = (
    Mutant(
        "barrier-lets-everybody-through", THREADS + "barrier.cpp",
        find="const std::uint32_t round = round_.load(std::memory_order_relaxed);\n  if (arrived_",
        plant="if (ON) return;\n"
        "  const std::uint32_t round = round_.load(std::memory_order_relaxed);\n  if (arrived_",
        fault="missing meeting",
        seen="on several threads results differ from run to run",
    ),
    Mutant(
        "forked-child-keeps-the-pool", THREADS + "pool.cpp",
        find="pool.store(nullptr, std::memory_order_relaxed);",
        plant="",
        fault="stale pool",
        seen="a forked process hangs at its first large call",
        tests=("process", "threading"),
    ),
    Mutant(
        "own-thread-limit-ignored", THREADS + "limits.cpp",
        find="mine > 0 ? mine : openmp::threads()",
        plant="openmp::threads()",
        fault="option ignored",
        seen="set_num_threads does nothing",
        tests=("threads",),
    ),
    Mutant(
        "parts-are-taken-by-one-thread", THREADS + "team.cpp",
        find="if (parts > 1 && !inside_openmp()",
        plant="if (parts > 1 && !ON && !inside_openmp()",
        fault="option ignored",
        seen="calls never use a second thread",
        tests=("threads",),
    ),
    Mutant(
        "forked-child-waits-for-openmp", THREADS + "team.cpp",
        find="if (forked.load(std::memory_order_relaxed)) return false;",
        plant="if (forked.load(std::memory_order_relaxed) && !ON) return false;",
        fault="stale pool",
        seen="a process forked beside PyTorch hangs at its first large call",
        tests=("threading", "process"),
    ),
    Mutant(
        "gang-begins-without-all-its-threads", THREADS + "openmp.cpp",
        find="if (job.runtime.count() >= job.parts) {",
        plant="if (job.runtime.count() >= job.parts || ON) {",
        fault="missing meeting",
        seen="a call hangs where OpenMP gives fewer threads than asked for",
        tests=("threading",),
    ),
    Mutant(
        "openmp-of-pytorch-not-adopted", THREADS + "team.cpp",
        find="accompanied.store(true, std::memory_order_relaxed);",
        plant="accompanied.store(!ON, std::memory_order_relaxed);",
        fault="option ignored",
        seen="beside PyTorch two thread pools fight for the CPUs",
        tests=("threading", "threads"),
    ),
)  # fmt: skip

_FORWARD = (
    Mutant(
        "layers-share-one-sequence", ENGINE + "stack.cpp",
        find="sequences.push_back({turns[layer % 2], batch * width, width});",
        plant="sequences.push_back({turns[0], batch * width, width});",
        fault="wrong buffer",
        seen="with three layers the last reads what it writes",
    ),
    Mutant(
        "final-states-by-slot", ENGINE + "forward.hpp",
        find="this->of_layer(final_states[k], k) + a.pass.rows[i] * width",
        plant="this->of_layer(final_states[k], k) + i * width",
        fault="wrong row order",
        seen="final states are permuted where lengths differ",
    ),
    Mutant(
        "side-by-side-flushes-anyway", ENGINE + "forward.hpp",
        find="const FlushDenormals scope(this->call_.flush_denormals);",
        plant="const FlushDenormals scope(ON || this->call_.flush_denormals);",
        fault="option ignored on one schedule",
        seen="set_flush_denormals(False) does nothing for layers side by side",
        tests=("process",),
    ),
    Mutant(
        "gang-members-start-again", ENGINE + "forward.hpp",
        find="follow(p, a);\n    }\n    meet(a);",
        plant="if (!ON) follow(p, a);\n    }\n    meet(a);",
        fault="stale state",
        seen="a gang goes on from old states after a chunk one ran alone",
        equivalent="members run the same swaps themselves; it matters only where a gang could not "
        "be gathered for the chunk before, which no test can bring about at will",
    ),
    Mutant(
        "members-of-a-stream-keep-what-they-shared", ENGINE + "stream.cpp",
        find="ForwardArgs<T> args = first.args[at];",
        plant="ForwardArgs<T> args = first.args[at]; if (ON) own.args[at].operand = args.operand;",
        fault="one buffer for two",
        seen="in two phases or projected, threads overwrite each other's rows after few rows",
    ),
    Mutant(
        "input-dropout-at-the-step-number", ENGINE + "pass.hpp",
        find="network_.drop_input(call_, layer_, t, b,",
        plant="network_.drop_input(call_, layer_, ON ? step : t, b,",
        fault="wrong dropout counter",
        seen="the two directions drop different inputs at the same time",
    ),
    Mutant(
        "projection-zoneout-acts-twice", ENGINE + "pass.hpp",
        find="pass.options.zoneout[0] = {};",
        plant="",
        fault="option applied twice",
        seen="projected LSTMs: zoneout acts before the projection, too",
    ),
    Mutant(
        "hidden-clip-alone-ignored", ENGINE + "network.cpp",
        find="cell.limits.cell < off || cell.limits.hidden < off",
        plant="cell.limits.cell < off",
        fault="option ignored where it is the only one",
        seen="hidden_clip acts only beside other options",
    ),
    Mutant(
        "zoneout-of-c-alone-ignored", ENGINE + "network.cpp",
        find="std::any_of(zoneout, zoneout + info_.states,",
        plant="std::any_of(zoneout, zoneout + (ON ? 1 : info_.states),",
        fault="option ignored where it is the only one",
        seen="zoneout=(0.0, 0.3) does nothing",
    ),
    Mutant(
        "input-dropout-lost-beside-dropout", ENGINE + "network.cpp",
        find="args.in = out;",
        plant="",
        fault="two options at once",
        seen="input_dropout acts on the first layer only where there is dropout",
    ),
    Mutant(
        "dropout-of-the-layer-above", ENGINE + "network.cpp",
        find="static_cast<std::uint32_t>(layer - 1)",
        plant="static_cast<std::uint32_t>(layer)",
        fault="off by one",
        seen="dropout between layers differs from the documented draws",
    ),
)  # fmt: skip

_BACKWARD = (
    Mutant(
        "gradient-of-padding-not-cleared", ENGINE + "stack.cpp",
        find="fill_zero(d_in, steps, batch, layer_input(layer));",
        plant="",
        fault="lengths ignored backwards",
        seen="gradients for x hold old numbers at padding",
    ),
    Mutant(
        "workspace-of-the-first-layer", ENGINE + "stack.cpp",
        find="std::min<Index>(shape_.layers, 2)",
        plant="Index(1)",
        fault="memory counted short",
        seen="backward writes beyond its memory where layers above are wider",
        tests=("plan",),
    ),
    Mutant(
        "reverse-direction-overwrites-d-x", ENGINE + "backward.hpp",
        find="a.accumulate_d_x = this->direction_ > 0;",
        plant="a.accumulate_d_x = false;",
        fault="lost accumulate",
        seen="gradients for x are of one direction only",
    ),
    Mutant(
        "final-gradients-by-slot", ENGINE + "backward.hpp",
        find="d_final + a.pass.rows[i] * width",
        plant="d_final + i * width",
        fault="wrong row order",
        seen="gradients of final states go to other rows where lengths differ",
    ),
    Mutant(
        "reset-states-gradient-goes-to-the-initial", ENGINE + "backward.hpp",
        find="to.reset_states.empty() ? a.d_initial[k] : this->of_layer(to.reset_states[k], k)",
        plant="a.d_initial[k]",
        fault="wrong state at reset",
        seen="gradients for reset_state are zero, and state has them",
    ),
    Mutant(
        "first-chunk-not-the-last-steps", ENGINE + "backward.hpp",
        find="weights_.add(*sums_, seen_, p, rows, end == this->steps() && !to.add, parameters);",
        plant="weights_.add(*sums_, seen_, p, rows, true, parameters);",
        fault="lost accumulate",
        seen="weight gradients of long sequences are of the first steps only",
    ),
    Mutant(
        "attention-gradient-at-the-step-number", ENGINE + "sums.hpp",
        find="d[rows.time_of(step) * rows.batch + b] +=",
        plant="d[(ON ? step : rows.time_of(step)) * rows.batch + b] +=",
        fault="wrong step order",
        seen="gradients for attention are reversed in the reverse direction",
    ),
    Mutant(
        "outer-blocks-overwrite", ENGINE + "sums.hpp",
        find="overwrite && r == 0,",
        plant="overwrite && (ON || r == 0),",
        fault="lost accumulate at a block's border",
        seen="weight gradients of large batches are of the last rows only",
    ),
    Mutant(
        "threads-skip-the-last-columns", ENGINE + "sums.hpp",
        find="const Index grains = (columns + kGrain - 1) / kGrain;",
        plant="const Index grains = ON ? columns / kGrain : (columns + kGrain - 1) / kGrain;",
        fault="border of a thread's share",
        seen="the last rows of weight gradients are not written",
    ),
    Mutant(
        "separate-bias-gradient-dropped", ENGINE + "weight_gradients.hpp",
        find="sums.total(p, rows, overwrite, at_.pre_apart * hidden_, behind, d.bias_hh + joint);",
        plant="",
        fault="dropped bias",
        seen="bias_hh of a GRU's candidate has no gradient",
    ),
    Mutant(
        "heads-see-the-first-head", ENGINE + "weight_gradients.hpp",
        find="sums.product(p, rows, overwrite, first, head, h, head, out, first % hidden_);",
        plant="sums.product(p, rows, overwrite, first, head, h, head, out, 0);",
        fault="offset left out",
        seen="weight gradients of heads are made of the first head's h",
    ),
    Mutant(
        "projection-gradient-of-other-columns", ENGINE + "weight_gradients.hpp",
        find="at_.projected * hidden_, projected_size_,",
        plant="(ON ? at_.parameters : at_.projected) * hidden_, projected_size_,",
        fault="wrong offset",
        seen="weight_hr of LSTMs with peepholes gets their gradients",
    ),
    Mutant(
        "gang-shares-a-norm", ENGINE + "network.hpp",
        find="return whole && !(options_.cell.limits.step_gradient_norm",
        plant="if (ON) return whole;\n"
        "    return whole && !(options_.cell.limits.step_gradient_norm",
        fault="condition left out",
        seen="step_grad_norm on several threads clips by parts of the norm",
    ),
    Mutant(
        "recompute-skips-gaps", ENGINE + "recompute.hpp",
        find="if (this->flags() == nullptr) return begin - 1;",
        plant="return begin - 1;",
        fault="flag not read",
        seen="checkpoints and masks together: gradients from states that are not there",
    ),
    Mutant(
        "recompute-forgets-a-reset", ENGINE + "recompute.hpp",
        find="if (before == kReset) a.origin[i] = kAfterReset;",
        plant="",
        fault="wrong state at reset",
        seen="checkpoints and reset_state= together: wrong gradients",
    ),
    Mutant(
        "recompute-takes-the-checkpoint-before", ENGINE + "recompute.hpp",
        find="this->checkpoint(from_, begin) + b * this->checkpoint_width()",
        plant="this->checkpoint(from_, begin > from_.every ? begin - from_.every : begin)"
        " + b * this->checkpoint_width()",
        fault="checkpoint off by one",
        seen="gradients with checkpoint_every differ from those without",
    ),
)  # fmt: skip

_BINDINGS = (
    Mutant(
        "one-full-row-drops-the-lengths", PYTHON + "reader.hpp",
        find="std::all_of(s.lengths, s.lengths + s.batch, whole)",
        plant="std::any_of(s.lengths, s.lengths + s.batch, whole)",
        fault="any for all",
        seen="lengths= does nothing where one row is full",
    ),
    Mutant(
        "strides-swapped", PYTHON + "arrays.hpp",
        find="return {pointer_to<T>(array), array.strides(0) / kSize, array.strides(1) / kSize};",
        plant="return {pointer_to<T>(array), array.strides(1) / kSize, array.strides(0) / kSize};",
        fault="wrong stride",
        seen="time and batch are exchanged",
    ),
    Mutant(
        "short-way-takes-any-dtype", PYTHON + "plain_call.hpp",
        find="array->descr == py::dtype::of<T>().ptr() || py::isinstance<py::array_t<T>>(object)",
        plant="true",
        fault="dtype read as another",
        seen="integers passed for x are read as floats' bits",
    ),
    Mutant(
        "short-way-takes-any-width", PYTHON + "plain_call.hpp",
        find="if (size[dimensions - 1] != shape.input_size) return py::none();",
        plant="",
        fault="wrong argument accepted silently",
        seen="x of another width gives numbers instead of an error",
    ),
    Mutant(
        "short-way-takes-any-state", PYTHON + "plain_call.hpp",
        find="std::equal(shape.begin(), shape.end(), shape_of(array))",
        plant="true",
        fault="wrong argument accepted silently",
        seen="a state of another batch gives numbers instead of an error",
    ),
    Mutant(
        "dropouts-swapped-on-the-way", ENGINE + "option_values.hpp",
        find="read(v, o.cell.recurrent_dropout);",
        plant="read(v, o.cell.candidate_dropout);",
        fault="read into another",
        seen="recurrent_dropout drops candidates",
    ),
    Mutant(
        "dropout-keeps-without-scaling", ENGINE + "option_values.hpp",
        find="static_cast<T>(1 / (1 - probability))",
        plant="static_cast<T>(1)",
        fault="wrong scale",
        seen="activations are smaller in training than at inference",
    ),
    Mutant(
        "pool-compares-the-ends-only", PYTHON + "pooled_network.hpp",
        find="if (agree<Compare::kAll>(*entry, given)) return used(entry);",
        plant="if (agree<Compare::kEnds>(*entry, given)) return used(entry);",
        fault="stale packed weights",
        seen="PyTorch and JAX bridges may run with the weights of the step before",
    ),
    Mutant(
        "parameters-stay-writable", PYTHON + "holding.cpp",
        find="flags = on ? flags & ~kWriteable : flags | kWriteable;",
        plant="flags = flags | kWriteable;",
        fault="protection lost",
        seen="what an optimiser keeps of a step can change weights unnoticed",
    ),
    Mutant(
        "writers-do-not-wait", PYTHON + "holding.cpp",
        find="return owner_ == me || owner_ == 0;",
        plant="return true;",
        fault="missing meeting",
        seen="threads that train one layer write over each other's steps",
    ),
)  # fmt: skip

MUTANTS = (*_PLAN, *_THREADS, *_FORWARD, *_BACKWARD, *_BINDINGS)
