"""What must hold of every example's scores when it runs small: a row each, in the names' order.

A condition is Python over the names that a script leaves in its dict ``scores``. Small runs learn
little: what a condition says has to fail if nothing was learnt, and need not be what the page says.
"""

from __future__ import annotations

ROWS: dict[str, tuple[str, ...]] = {
    "amplifier": ("same_bits == 1.0", "error < baseline", "0.05 < baseline < 0.2"),
    "captions": ("last < 0.6 * first", "words > 0.2", "baseline < 0.1"),
    "chorales": ("last < first - 1.5", "bits < 5", "2.5 < baseline < 4.5"),
    "digits": ("accuracy > 0.85", "0.9 < baseline < 0.99"),
    "drift": ("0.05 < online < 0.5 * frozen", "online < 0.5 * last_value"),
    "forecasting": (
        "airline_mase < 0.8 * airline_naive",
        "co2_mase < 0.8 * co2_naive",
        "0.8 < airline_coverage <= 1",
    ),
    "hidden_speeds": ("steps > 3 * baseline", "20 < baseline < 80", "explained > 0.8"),
    "interest": ("auc > 0.58", "auc_counts > 0.85"),
    "long_memory": (
        "sick == 3",
        "healed == 3",
        "kept < 0.3",
        "LSTM_chrono_copied > 0.45",
        "IRNN_copied > 0.45",
        "LSTM_copied < 0.35",
    ),
    "moving_digits": ("loss_after < 0.97 * loss_before", "way_two_frames > 0.4"),
    "noise": ("clean > 0.5", "baseline > 0.75", "noisy_pictures > 0.4"),
    "phonemes": ("phoneme_error < 0.4", "words > 0.1"),
    "rate_network": (
        "against_the_law == 0",
        "missing_synapses == 0",
        "leak_moved == 0",
        "accuracy_network > accuracy_leaky + 0.03",  # small, and with nothing learned 0.5
        "0.75 < accuracy_ideal < 0.9",
    ),
    "sentiment": ("correlation > 0.15", "correlation_bag > 0.3", "correlation_rules > 0.3"),
    "spoken_digits": ("loss < 2.5", "baseline < 0.7"),
    "tagging": ("f1 > 0.3", "speech_field > 0.9"),
    "translation": ("loss_ratio < 0.95", "memory > 20"),
}
