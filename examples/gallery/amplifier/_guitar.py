"""A guitar and an amplifier, calculated: what the network in `amplifier.py` listens to."""

import numpy as np

RATE = 44_100  # samples a second


def phrase(seconds, seed):
    """Return a phrase of plucked strings, single notes and chords, loud and soft: (samples,)."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(round(seconds * RATE))
    scale = np.array([0, 3, 5, 7, 10])  # minor pentatonic, in semitones above E
    time = 0.0
    while time < seconds - 0.1:
        notes = rng.choice(3 * scale.size, size=rng.choice([1, 1, 2, 3]), replace=False)
        loud = 10 ** rng.uniform(-1.2, 0.0)
        for note in notes:
            octave, degree = divmod(note, scale.size)
            start = round((time + rng.uniform(0.0, 0.01)) * RATE)
            string = pluck(82.41 * 2 ** (octave + scale[degree] / 12), rng)[: sound.size - start]
            sound[start : start + string.size] += loud * string
        time += rng.choice([0.125, 0.25, 0.25, 0.5])
    return (sound / np.abs(sound).max()).astype("float32")


def pluck(frequency, rng, samples=2 * RATE):
    """Return a plucked string by Karplus and Strong (1983): noise that goes round in a delay."""
    period = round(RATE / frequency)
    lap = np.convolve(rng.uniform(-1.0, 1.0, period + 7), np.ones(8) / 8, "valid")
    laps, before = [], 0.0
    for _ in range(-(-samples // period)):
        laps.append(lap)
        lap = 0.996 * 0.5 * (lap + np.append(before, lap[:-1]))
        before = laps[-1][-1]
    return np.concatenate(laps)[:samples] * np.linspace(1.0, 0.0, samples) ** 4


def amplifier(sound, gain=30.0):
    """Return what a circuit makes of a sound: (samples,) -> (samples,), in volts.

    A capacitor couples the amplified input to a resistor, behind which one diode conducts one way
    and two in a row the other, with a capacitor and a resistor beside them. The diodes charge the
    coupling capacitor, so the circuit shifts its own working point: that takes memory. Its two
    differential equations are solved by the implicit Euler method at twice the rate.
    """
    driven = gain * _resample(sound.astype("float64"), 2 * sound.size)
    warm_up, count = round(0.06 * 2 * RATE), 256  # pieces side by side, each from a little before
    length = -(-driven.size // count)
    padded = np.concatenate([np.zeros(warm_up), driven, np.zeros(count * length - driven.size)])
    pieces = padded[np.arange(count) * length + np.arange(warm_up + length)[:, None]]
    return _resample(_solve(pieces)[warm_up:].T.ravel()[: driven.size], sound.size).astype(
        "float32"
    )


def _solve(driven):
    """Return the voltage over the diodes, (steps, pieces), for that of the source."""
    step = 1.0 / (2 * RATE)
    coupling, parallel, series, leak = 220e-9, 10e-9, 4.7e3, 22e3  # farads and ohms
    saturation, one, two = 2.52e-9, 0.0453, 0.0906  # amperes, volts: a 1N4148, and two of them
    charge, voltage, result = np.zeros(driven.shape[1]), np.zeros(driven.shape[1]), []
    series += step / coupling
    conductance = 1 / series + 1 / leak + parallel / step
    for source in driven:
        given = (
            source - charge
        ) / series + voltage * parallel / step  # = conductance v + diodes(v)
        most = np.log1p(np.abs(given) / saturation)  # were it all to go through the diodes
        voltage = np.clip(given / conductance, -two * most, one * most)
        for _ in range(6):  # Newton
            up, down = saturation * np.exp(voltage / one), saturation * np.exp(-voltage / two)
            error = conductance * voltage + up - down - given
            voltage = voltage - error / (conductance + up / one + down / two)
        charge = charge + step / coupling * (source - charge - voltage) / series
        result.append(voltage)
    return np.array(result)


def _resample(sound, samples):
    """Return a sound at another rate, by its spectrum."""
    spectrum = np.fft.rfft(sound)
    kept = min(spectrum.size, samples // 2 + 1)
    return np.fft.irfft(spectrum[:kept], samples) * samples / sound.size
