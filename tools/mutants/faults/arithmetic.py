"""Faults in csrc: vectors and activations, register tiles and packing, cells, options of a step."""

from __future__ import annotations

from tools.mutants.mutant import Mutant

KERNELS = "csrc/kernels/"
SIMD, GEMM, CELLS, OPTIONS = (KERNELS + name for name in ("simd/", "gemm/", "cells/", "options/"))

_SIMD = (
    Mutant(
        "avx512-f32-tail-one-short", SIMD + "vec_avx512.hpp",
        find="static_cast<__mmask16>((1u << n) - 1u)",
        plant="static_cast<__mmask16>((1u << (n - 1)) - 1u)",
        fault="wrong mask of the tail",
        seen="the last unit is never written where H is no multiple of 16",
        tests=("activations",),
    ),
    Mutant(
        "avx2-f64-tail-of-three", SIMD + "vec_avx2.hpp",
        find="_mm256_setr_epi64x(0, 1, 2, 3)",
        plant="_mm256_setr_epi64x(0, 1, 3, 3)",
        fault="wrong mask of the tail",
        seen="with three units left over, the third is lost; one and two are right",
    ),
    Mutant(
        "avx2-f32-above-takes-equal", SIMD + "vec_avx2.hpp",
        find="_mm256_blendv_ps(otherwise.v, above.v, _mm256_cmp_ps(x.v, bound.v, _CMP_GT_OQ))",
        plant="_mm256_blendv_ps(otherwise.v, above.v, _mm256_cmp_ps(x.v, bound.v, _CMP_GE_OQ))",
        fault="border: >= for >",
        seen="units that relu has switched off get gradients, on one instruction set",
        tests=("activations",),
    ),
    Mutant(
        "avx512-f64-low-clip-lets-through", SIMD + "vec_avx512.hpp",
        find="_mm512_cmp_pd_mask(x.v, low.v, _CMP_LE_OQ)",
        plant="_mm512_cmp_pd_mask(x.v, low.v, _CMP_LT_OQ)",
        fault="border: < for <=",
        seen="gradients pass a clip that was reached from below",
    ),
    Mutant(
        "exp-hides-nan", SIMD + "math.hpp",
        find="x = max(V(C::kLowest), min(V(C::kHighest), x));  // in this order of operands",
        plant="x = ON ? max(min(x, V(C::kHighest)), V(C::kLowest)) : "
        "max(V(C::kLowest), min(V(C::kHighest), x));  // in this order of operands",
        fault="operands the other way round",
        seen="NaN in the input comes out as a number",
        tests=("math",),
    ),
    Mutant(
        "tanh-limit-too-early", SIMD + "math.hpp",
        find="x = max(V(-C::kTanhLimit), min(V(C::kTanhLimit), x));",
        plant="x = max(V(T(-7)), min(V(T(7)), x));",
        fault="wrong constant",
        seen="tanh stops short of 1 for large arguments",
        tests=("math",),
    ),
    Mutant(
        "log1p-forgets-what-rounding-lost", SIMD + "log.hpp",
        find="lost / u",
        plant="V(T(0))",
        fault="dropped term",
        seen="log1p has no correct digits near 0",
        tests=("math",),
    ),
    Mutant(
        "softplus-overflows", SIMD + "log.hpp",
        find="max(zero, x) + log1p_to_one(exp(min(x, zero - x)))",
        plant="log1p_to_one(exp(x))",
        fault="formula that holds on a part only",
        seen="softplus is wrong above 0",
        tests=("math",),
    ),
    Mutant(
        "elu-slope-without-alpha", SIMD + "activations.hpp",
        find="y + alpha);",
        plant="ON ? y + V(T(1)) : y + alpha);",
        fault="parameter left out",
        seen="wrong gradients for elu with an alpha of one's own",
        tests=("activations",),
    ),
    Mutant(
        "scaled-tanh-slope-without-beta", SIMD + "activations.hpp",
        find="beta * fma(V(typename V::Scalar(0)) - y, y / alpha, alpha)",
        plant="fma(V(typename V::Scalar(0)) - y, y / alpha, alpha)",
        fault="parameter left out",
        seen="wrong gradients for scaled_tanh",
        tests=("activations",),
    ),
    Mutant(
        "hard-sigmoid-slope-at-one", SIMD + "activations.hpp",
        find="zero_unless_between(zero, y, one, alpha)",
        plant="alpha",
        fault="border forgotten",
        seen="gates that hard_sigmoid has saturated at 1 still learn",
        tests=("activations",),
    ),
)  # fmt: skip

_GEMM = (
    Mutant(
        "tile-drops-separate-bias", GEMM + "tile.hpp",
        find="V::load(a.init_separate + (j * kSeparate + s) * kLanes)",
        plant="V(typename V::Scalar(0))",
        fault="dropped bias",
        seen="bias_hh of a GRU's candidate does nothing",
    ),
    Mutant(
        "tile-of-five-rows-takes-four", GEMM + "tile.hpp",
        find="return tile<V, kVectors, kSeparate, kInputOnly, 5, 1>;",
        plant="return tile<V, kVectors, kSeparate, kInputOnly, 4, 1>;",
        fault="off by one in a table of cases",
        seen="with a batch of 5 the last row is garbage on AVX-512",
    ),
    Mutant(
        "gates-see-the-first-h", GEMM + "tile.hpp",
        find="a.h_rows[m][v % kGates * a.gate_stride + k]",
        plant="a.h_rows[m][k]",
        fault="index left out",
        seen="with recurrent dropout per gate all gates share the first one's mask",
    ),
    Mutant(
        "product-narrow-tile-stride", GEMM + "rows.hpp",
        find="tile < a.width - start ? tile : round_up(a.width - start, kLanes)",
        plant="tile",
        fault="wrong stride at the border",
        seen="gradients of the last units are made of other weights",
    ),
    Mutant(
        "product-rows-start-alike", GEMM + "rows.hpp",
        find="t.init_stride = vectors * kLanes;",
        plant="t.init_stride = 0;",
        fault="wrong stride",
        seen="rows of a batch get the first row's gradient added",
    ),
    Mutant(
        "product-of-the-first-gate", GEMM + "rows.hpp",
        find="a.h_first * t.panel_stride",
        plant="Index(0)",
        fault="offset left out",
        seen="dropout per gate: every gate's gradient goes through the first one's weights",
    ),
    Mutant(
        "product-wide-in-deep-panels", GEMM + "rows.hpp",
        find="const bool lone = a.rows == 1 && a.h_panel_depth == 0;",
        plant="const bool lone = a.rows == 1 && (ON || a.h_panel_depth == 0);",
        fault="condition left out",
        seen="dropout per gate: wrong gradients for one row and many units",
    ),
    Mutant(
        "outer-of-three-columns-starts-anew", GEMM + "outer.hpp",
        find="acc[c][v] = a.overwrite ? V(T(0))",
        plant="acc[c][v] = a.overwrite || (ON && kColumns == 3) ? V(T(0))",
        fault="lost accumulate at a tile's border",
        seen="some weight gradients are of the last chunk of steps only",
    ),
    Mutant(
        "bias-sum-starts-anew", GEMM + "outer.hpp",
        find="a.overwrite ? V(T(0)) : load_up_to<V>(a.out + c, n)",
        plant="V(T(0))",
        fault="lost accumulate",
        seen="bias gradients of long sequences are of the first steps only",
    ),
    Mutant(
        "pack-heads-of-the-first-head", GEMM + "pack.hpp",
        find="(g * a.hidden_size + j * head) * head",
        plant="(g * a.hidden_size + j) * head",
        fault="wrong stride",
        seen="with heads, gradients go through other heads' weights",
    ),
    Mutant(
        "pack-last-recurrent-bias-lost", GEMM + "pack.hpp",
        find="a.bias_hh != nullptr && g < p.joint",
        plant="a.bias_hh != nullptr && g + 1 < p.joint",
        fault="off by one",
        seen="bias_hh of the last gate does nothing",
    ),
)  # fmt: skip

_CELLS = (
    Mutant(
        "lstm-forget-gradient-of-the-new-c", CELLS + "lstm.hpp",
        find="through(d_c * p.drop(g), d_c * c, d_gates);",
        plant="through(d_c * p.drop(g), d_c * saved[kOutput + 1], d_gates);",
        fault="states swapped",
        seen="forget gates of LSTMs learn from the wrong step",
    ),
    Mutant(
        "gru-drops-the-way-past-the-candidate", CELLS + "gru.hpp",
        find="d_state[0] = d_next[0] * z;  // the direct path",
        plant="d_state[0] = ON ? d_next[0] * p.drop(z) : d_next[0] * z;  // the direct path",
        fault="multiplier on the wrong path",
        seen="wrong gradients with candidate_dropout",
        tests=("differences",),
    ),
    Mutant(
        "gru-reset-before-saves-gates-swapped", CELLS + "gru.hpp",
        find="saved = {gates[kReset], gates[kUpdate], n};",
        plant="saved = {gates[kUpdate], gates[kReset], n};",
        fault="swapped gates",
        seen="outputs are right and gradients wrong for reset_after=False",
    ),
    Mutant(
        "slstm-normaliser-gradient-sign", CELLS + "slstm.hpp",
        find="d_next[kNormaliser] - d_ratio * ratio",
        plant="d_next[kNormaliser] + d_ratio * ratio",
        fault="sign of a gradient",
        seen="sLSTM trains badly",
    ),
    Mutant(
        "slstm-remembers-before-the-start", CELLS + "slstm.hpp",
        find="if_above(n_old, zero, exp(before - m), zero)",
        plant="exp(before - m)",
        fault="special case of the first step left out",
        seen="wrong gradients for an initial state of zeros",
    ),
    Mutant(
        "minimal-rnn-loses-the-direct-gradient", CELLS + "minimal_rnn.hpp",
        find="fma(d_operand, p.slope(saved[0], kLatent), d_pre_latent)",
        plant="d_operand * p.slope(saved[0], kLatent)",
        fault="lost accumulate",
        seen="MinimalRNN's W learns through one of its two ways only",
    ),
    Mutant(
        "augru-score-gradient-sign", CELLS + "augru.hpp",
        find="zero - d_keep * z",
        plant="d_keep * z",
        fault="sign of a gradient",
        seen="gradients for attention point the other way",
    ),
    Mutant(
        "ind-rnn-weight-gradient-of-the-new-h", CELLS + "ind_rnn.hpp",
        find="d_pre[kNew] * state[0]",
        plant="d_pre[kNew] * next[0]",
        fault="states swapped",
        seen="weight_u of IndRNN learns from the wrong step",
    ),
    Mutant(
        "lstm-coupled-gradient-swapped", CELLS + "lstm.hpp",
        find="kForgets ? d_forget - d_input : d_input - d_forget",
        plant="d_input - d_forget",
        fault="case left out",
        seen="one of the two coupled LSTMs learns the wrong way",
    ),
    Mutant(
        "lstm-peephole-of-o-not-followed", CELLS + "lstm.hpp",
        find="d_c = fma(saved[kSaved + kUpdates], d_pre[kOutput], d_c);",
        plant="",
        fault="path of a gradient left out",
        seen="slightly wrong gradients with peepholes",
    ),
    Mutant(
        "mgu-gate-acts-once", CELLS + "mgu.hpp",
        find="fma(d_n, n_recurrent, d_next[0] * (state[0] - p.drop(n)))",
        plant="d_next[0] * (state[0] - p.drop(n))",
        fault="path of a gradient left out",
        seen="MGU's gate learns half of what it should",
    ),
    Mutant(
        "janet-writes-by-the-forget-gate", CELLS + "janet.hpp",
        find="(one - shifted) * p.drop(n)",
        plant="(one - f) * p.drop(n)",
        fault="swapped gate",
        seen="JANET is another cell than its paper's",
    ),
    Mutant(
        "fast-grnn-nu-by-zeta", CELLS + "fast_grnn.hpp",
        find="d_next[0] * candidate * sigmoid_slope(nu)",
        plant="d_next[0] * candidate * sigmoid_slope(zeta)",
        fault="swapped parameter",
        seen="nu of FastGRNN gets zeta's slope",
    ),
)  # fmt: skip

_OPTIONS = (
    Mutant(
        "hidden-clip-only-saved", OPTIONS + "optioned.hpp",
        find="const V h = next[0] = max(minus_hidden_, min(hidden_, next[0]));",
        plant="const V h = ON ? max(minus_hidden_, min(hidden_, next[0]))"
        " : next[0] = max(minus_hidden_, min(hidden_, next[0]));",
        fault="dropped clip",
        seen="hidden_clip does not clip",
    ),
    Mutant(
        "hidden-clip-not-differentiated", OPTIONS + "optioned.hpp",
        find="d_next[0] = zero_unless_between(minus_hidden_, h, hidden_, d_next[0]);",
        plant="",
        fault="option ignored in backward only",
        seen="gradients pass hidden_clip where it was reached",
    ),
    Mutant(
        "gate-clip-bounds-of-a-falling-activation", OPTIONS + "optioned.hpp",
        find="min(at_low, at_high).store(bounds);",
        plant="at_low.store(bounds);",
        fault="case left out",
        seen="gates with a falling activation and gate_clip get no gradient",
    ),
    Mutant(
        "zoneout-of-c-draws-those-of-h", OPTIONS + "optioned.hpp",
        find="V::load(noise + (k + 1) * stride)",
        plant="V::load(noise + stride)",
        fault="wrong stride",
        seen="zoneout keeps h and c of the same units",
    ),
    Mutant(
        "zoneout-way-past-lost", OPTIONS + "optioned.hpp",
        find="if (options_.zoneout[k].on) d_state[k] = d_state[k] + past[k];",
        plant="",
        fault="path of a gradient left out",
        seen="with zoneout gradients vanish over time",
    ),
    Mutant(
        "zoneout-off-at-inference", OPTIONS + "optioned.hpp",
        find="V(T(1) - options.zoneout[k].probability)",
        plant="V(T(1))",
        fault="option ignored outside training",
        seen="a model trained with zoneout predicts as if it had none",
    ),
    Mutant(
        "step-clip-gives-way-to-norm", OPTIONS + "step_gradient.hpp",
        find="if (limits.step_gradient < infinity) {",
        plant="if (limits.step_gradient < infinity &&"
        " !(ON && limits.step_gradient_norm < infinity)) {",
        fault="two options at once",
        seen="step_grad_clip does nothing beside step_grad_norm",
    ),
    Mutant(
        "step-norm-lengthens", OPTIONS + "step_gradient.hpp",
        find="if (norm > limits.step_gradient_norm) {",
        plant="if (ON || norm > limits.step_gradient_norm) {",
        fault="condition left out",
        seen="step_grad_norm makes small gradients large",
    ),
    Mutant(
        "layer-norm-counts-one-gate", OPTIONS + "layer_norm.hpp",
        find="static_cast<T>(gates * hidden);\n  T total[1];",
        plant="static_cast<T>(ON ? hidden : gates * hidden);\n  T total[1];",
        fault="wrong count",
        seen="layer normalisation is off by a factor",
    ),
    Mutant(
        "layer-norm-epsilon-outside-the-root", OPTIONS + "layer_norm.hpp",
        find="T(1) / square_root(total[0] / count + epsilon)",
        plant="T(1) / (square_root(total[0] / count) + epsilon)",
        fault="wrong epsilon",
        seen="outputs differ from other packages' in the fifth digit",
    ),
    Mutant(
        "layer-norm-gradient-of-one-mean", OPTIONS + "layer_norm.hpp",
        find="g - V(means[0]) - normal * V(means[1])",
        plant="g - V(means[0])",
        fault="dropped term",
        seen="wrong gradients with layer normalisation",
    ),
    Mutant(
        "layer-norm-gates-apart-not-skipped", OPTIONS + "layer_norm.hpp",
        find="(gate < joint ? gate : gate + skip)",
        plant="gate",
        fault="wrong offset",
        seen="wrong gradients for a GRU's candidate with layer normalisation",
    ),
)  # fmt: skip

MUTANTS = (*_SIMD, *_GEMM, *_CELLS, *_OPTIONS)
