"""Digits spoken by espeak-ng, and what a network hears of them."""

from __future__ import annotations

import ctypes

import espeakng_loader
import numpy as np

WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
ACCENTS = ["en-us", "en", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-us-nyc"]
# Speakers that espeak-ng has for any language, less those that are robots or whisper.
VOICES = [
    "f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "Alex",
    "Alicia", "Andrea", "Andy", "Annie", "Denis", "Diogo", "Gene", "Henrique", "Hugo", "Jacky",
    "Lee", "Marco", "Mario", "Michael", "Mike", "Nguyen", "Reed", "adam", "anika", "antonio",
    "belinda", "benjamin", "boris", "caleb", "david", "edward", "gustave", "ian", "iven",
    "john", "linda", "marcelo", "max", "michel", "miguel", "norbert", "pablo", "paul", "pedro",
    "quincy", "rob", "robert", "sandro", "shelby", "steph", "travis", "victor", "zac",
]  # fmt: skip


_SYNCHRONOUS, _UTF8, _RATE, _PITCH = 2, 1, 1, 3  # of espeak-ng's interface in C
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class Speaker:
    """Speaks text to samples, 22 050 of them in a second."""

    def __init__(self):
        self.engine = ctypes.CDLL(espeakng_loader.get_library_path())
        place = espeakng_loader.get_data_path().encode()
        self.rate = self.engine.espeak_Initialize(_SYNCHRONOUS, 0, place, 0)
        if self.rate <= 0:
            raise RuntimeError("espeak-ng: expected its data, found none")
        self.parts = []
        self.callback = _CALLBACK(self._hear)  # kept: C code calls it
        self.engine.espeak_SetSynthCallback(self.callback)

    def _hear(self, samples, count, _):
        if samples and count > 0:
            self.parts.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def __call__(self, text, voice, speed, pitch):
        """Return samples in [-1, 1], as loud as all others."""
        self.parts.clear()
        if self.engine.espeak_SetVoiceByName(voice.encode()) != 0:
            raise ValueError(f"espeak-ng: expected a voice, got {voice!r}")
        self.engine.espeak_SetParameter(_RATE, int(speed), 0)
        self.engine.espeak_SetParameter(_PITCH, int(pitch), 0)
        said = text.encode() + b"\0"
        self.engine.espeak_Synth(said, len(said), 0, 1, 0, _UTF8, None, None)
        self.engine.espeak_Synchronize()
        samples = np.concatenate(self.parts).astype("float32")
        return samples * (0.1 / np.sqrt(np.mean(samples**2)))


def spoken(speaker, voices, count, rng):
    """Return that many utterances: samples, the digits that are said, and who says them."""
    found = []
    for _ in range(count):
        digits = rng.integers(0, 10, rng.integers(2, 7))
        voice = f"{rng.choice(ACCENTS)}+{rng.choice(voices)}"
        text = " ".join(WORDS[digit] for digit in digits)
        found.append(
            (speaker(text, voice, rng.uniform(130, 230), rng.uniform(30, 70)), digits, voice)
        )
    return found


def noisy(samples, decibels, rng):
    """Return samples with white noise that many decibels below them."""
    noise = rng.standard_normal(len(samples)).astype("float32")
    return samples + noise * np.float32(0.1 * 10.0 ** (-decibels / 20.0))


def mel_bands(rate, size, bands):
    """Return triangles (frequencies, bands) that are equally wide to the ear."""
    mel = np.linspace(0.0, 2595.0 * np.log10(1.0 + 7600.0 / 700.0), bands + 2)
    edges = 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    at = np.arange(size // 2 + 1)[:, None] * rate / size
    rising = (at - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - at) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling)).astype("float32")


def log_mel(samples, rate, bands=32):
    """Return what is heard (T, bands): loudness in every 20 milliseconds, band by band."""
    size, hop = 1024, rate // 50
    padded = np.pad(samples, size // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(size).astype("float32"))) ** 2
    heard = np.log(power @ mel_bands(rate, size, bands) + 1e-4)
    return ((heard - heard.mean(axis=0)) / 2.0).astype("float32")


def word_errors(found, wanted):
    """Return how many words have to be changed, put in or left out to make one of the other."""
    row = np.arange(len(wanted) + 1)
    for place, word in enumerate(found):
        above, row[0] = row.copy(), place + 1
        for column, other in enumerate(wanted):
            row[column + 1] = min(
                above[column] + (word != other), above[column + 1] + 1, row[column] + 1
            )
    return int(row[-1])
