"""Faults in attention: what is not real, ways back, decoders' feeding, beams."""

from __future__ import annotations

from tools.mutants.mutant import Mutant

ATTENTION = "python/simdrnn/attention/"

MUTANTS = (
    Mutant(
        "attention-scores-padding-zero", ATTENTION + "softmax.py",
        find="np.copyto(scores, -np.inf, where=~real & some[:, None])",
        plant="np.copyto(scores, 0.0, where=~real & some[:, None])",
        fault="mask ignored",
        seen="short rows attend to their padding",
        tests=("attention",),
    ),
    Mutant(
        "attention-lengths-instead-of-mask", ATTENTION + "arguments.py",
        find="within if real is None else real & within",
        plant="within",
        fault="option ignored",
        seen="a mask beside lengths does nothing",
        tests=("attention",),
    ),
    Mutant(
        "general-attention-learns-unscaled", ATTENTION + "kinds.py",
        find="map_gradient(self._unscaled(d_projected), query",
        plant="map_gradient(d_projected, query",
        fault="factor left out",
        seen='gradients of the weight of kind="general" are wrong where it has a scale',
        tests=("attention",),
    ),
    Mutant(
        "additive-attention-learns-from-the-last-block", ATTENTION + "kinds.py",
        find="self._d_score += d_score[0]",
        plant="self._d_score[...] = d_score[0]",
        fault="lost accumulate",
        seen="of long sequences the last stretch alone trains the scores",
        tests=("attention",),
    ),
    Mutant(
        "attention-weights-have-no-gradient", ATTENTION + "version.py",
        find="d_found += d_weights",
        plant="pass",
        fault="gradient left out",
        seen="a loss on the weights of attention trains nothing",
        tests=("attention",),
    ),
    Mutant(
        "decoder-learns-from-padding", ATTENTION + "decoder_tape.py",
        find="d_joined[gone] = 0",
        plant="pass",
        fault="mask ignored backwards",
        seen="gradients for outputs behind the ends of rows train the decoder",
        tests=("decoder",),
    ),
    Mutant(
        "decoder-is-fed-nothing-back", ATTENTION + "decoder_tape.py",
        find="d_joined *= d_made + self._d_fed",
        plant="d_joined *= d_made",
        fault="gradient left out",
        seen="what a step is fed trains no step before it",
        tests=("decoder",),
    ),
    Mutant(
        "decoder-rows-keep-their-places-memory", ATTENTION + "decoder_run.py",
        find="if rest or not (sources == np.repeat(np.arange(count), each)).all():",
        plant="if rest:",
        fault="stale cache",
        seen="sources that change places in a batch attend to each other's memory",
        tests=("decoder", "beam"),
    ),
    Mutant(
        "beam-ends-with-any-candidate", ATTENTION + "beam.py",
        find="if rank < self._beam:",
        plant="if True:",
        fault="condition left out",
        seen="unlikely ends fill the beam, and sequences are cut short",
        tests=("beam",),
    ),
    Mutant(
        "beam-ranks-the-unfinished-first", ATTENTION + "beam.py",
        find="key=lambda one: (not one[3], -one[0])",
        plant="key=lambda one: -one[0]",
        fault="wrong order",
        seen="a sequence that was cut off is taken for the best",
        tests=("beam",),
    ),
)  # fmt: skip
