"""Melodies of Bach's chorales, out of the files that music21 ships, and an n-gram model of them."""

import zipfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from music21 import corpus

STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def melodies(most=None):
    """Return melodies, lists of (pitch as in MIDI, duration in quarters), without a key signature.

    Music21's own reader knows all of the format and takes 40 seconds for 371 chorales; this one
    knows what a soprano's part needs.
    """
    names = list(corpus.chorales.Iterator(returnType="filename"))[:most]
    found = {Path(name).name: None for name in names}
    for path in corpus.getComposer("bach"):
        if path.suffix == ".mxl" and path.stem in found:
            found[path.stem] = melody(path)
    return [notes for notes in found.values() if notes and len(notes) >= 16]


def melody(path):
    """Return the soprano's notes in a compressed MusicXML file, or None."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.startswith("META-INF")]
        name = next(name for name in names if name.endswith("xml"))
        score = ElementTree.fromstring(archive.read(name))
    voices = {one.get("id"): one.findtext("part-name", "") for one in score.iter("score-part")}
    sopranos = [one for one, name in voices.items() if name.startswith("Soprano")]
    if not sopranos and len(voices) != 4:
        return None  # instruments, too, and nothing says which part sings
    wanted = sopranos[0] if sopranos else next(iter(voices))
    part = next(one for one in score.iter("part") if one.get("id") == wanted)
    fifths = int(next(part.iter("fifths")).text)
    shift = (-7 * fifths + 5) % 12 - 5  # the nearest way to C major or A minor
    notes, divisions = [], 1
    for element in part.iter():
        if element.tag == "divisions":
            divisions = int(element.text)
        if element.tag != "note" or element.findtext("voice", "1") != "1":
            continue
        if any(element.find(tag) is not None for tag in ("rest", "chord", "grace")):
            continue
        pitch = element.find("pitch")
        semitones = STEPS[pitch.findtext("step")] + int(pitch.findtext("alter", "0"))
        height = 12 * (int(pitch.findtext("octave")) + 1) + semitones + shift
        duration = int(element.findtext("duration")) / divisions
        tied = any(tie.get("type") == "stop" for tie in element.findall("tie"))
        if tied and notes and notes[-1][0] == height:
            duration += notes.pop()[1]
        notes.append((height, duration))
    return notes


def tunes(found):
    """Return a number for each melody, the same for those that are one hymn's tune.

    Bach set many tunes several times, in other keys and with other passing notes. Melodies with a
    quarter of their figures of six intervals in common count as one tune.
    """
    figures = []
    for notes in found:
        steps = np.diff([pitch for pitch, _ in notes])
        figures.append({tuple(steps[i : i + 6]) for i in range(len(steps) - 5)})
    number = list(range(len(found)))
    for one in range(len(found)):
        for other in range(one):
            common = len(figures[one] & figures[other])
            if common >= 0.25 * min(len(figures[one]), len(figures[other])):
                old, new = number[one], number[other]
                number = [new if this == old else this for this in number]
    return np.array(number)


class NGram:
    """Odds of the next token by counting: from the longest context that was seen to the shortest.

    Each context is mixed with the next shorter one, as by Witten and Bell (1991): the more other
    tokens followed a context, the more the shorter one counts.
    """

    def __init__(self, sequences, vocabulary, order, weight=1.0):
        self.vocabulary, self.order, self.weight = vocabulary, order, weight
        self.counts = {}
        for sequence in sequences:
            for end in range(len(sequence)):
                for length in range(min(order, end + 1)):
                    context = tuple(sequence[end - length : end])
                    self.counts.setdefault(context, Counter())[sequence[end]] += 1

    def probability(self, context, token):
        """Return the probability of a token after a context."""
        result = 1.0 / self.vocabulary
        for length in range(min(self.order, len(context) + 1)):
            seen = self.counts.get(tuple(context[len(context) - length :]))
            if seen is None:
                break
            total, kinds = sum(seen.values()), self.weight * len(seen)
            result = (seen[token] + kinds * result) / (total + kinds)
        return result

    def bits(self, sequences):
        """Return the bits per token, the first of each sequence given."""
        bits = [
            -np.log2(self.probability(sequence[max(0, end - self.order + 1) : end], sequence[end]))
            for sequence in sequences
            for end in range(1, len(sequence))
        ]
        return float(np.mean(bits))
