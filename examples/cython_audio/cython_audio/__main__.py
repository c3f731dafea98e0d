"""``python -m cython_audio MODEL dry.wav wet.wav``: the effect over a sound file of 16 bits."""

from __future__ import annotations

import argparse
import wave

import numpy as np

import simdrnn as sr
from cython_audio import Effect


def load(path: str) -> object:
    """Return a model of RTNeural (.json), of NAM (.nam), or what ``layer.save`` wrote."""
    if path.endswith(".nam"):
        return sr.dialects.load_nam(path)
    if path.endswith(".json"):
        return sr.dialects.load_rtneural(path)
    return sr.load(path)


def main() -> None:
    """Read, run, write."""
    parser = argparse.ArgumentParser(prog="cython-audio", description=__doc__)
    parser.add_argument("model")
    parser.add_argument("dry")
    parser.add_argument("wet")
    parser.add_argument("--feedback", type=float, default=0.0)
    parser.add_argument("--mix", type=float, default=1.0)
    parser.add_argument("--block", type=int, default=256, help="samples at a time")
    args = parser.parse_args()
    model = load(args.model)
    with wave.open(args.dry, "rb") as source:
        parameters = source.getparams()
        if parameters.sampwidth != 2:
            parser.error(f"dry: expected 16 bits a sample, got {8 * parameters.sampwidth}")
        frames = np.frombuffer(source.readframes(parameters.nframes), "<i2")
    dry = frames.reshape(-1, parameters.nchannels).astype("float32") / 32768
    wet = np.empty_like(dry)
    for channel in range(parameters.nchannels):
        effect = Effect(model, args.feedback, args.mix)
        sound, made = np.ascontiguousarray(dry[:, channel]), np.empty(len(dry), "float32")
        for begin in range(0, len(sound), args.block):
            end = begin + args.block
            effect.process(sound[begin:end], made[begin:end])
        wet[:, channel] = made
    with wave.open(args.wet, "wb") as target:
        target.setparams(parameters)
        target.writeframes((wet.clip(-1, 1) * 32767).astype("<i2").tobytes())


if __name__ == "__main__":
    main()
