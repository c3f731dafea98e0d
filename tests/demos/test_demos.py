from __future__ import annotations

import argparse
import io
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import pytest

from helpers_loops import every
from simdrnn import reference
from simdrnn.demos import DemoError, corpus, digits, text
from simdrnn.training.progress import Bar, Interrupt, PlainLines, open_progress

# The NumPy twin: what is tested here does not depend on the engine, nor on its being built.
LSTM = partial(reference.LSTM, dtype="float32")
GRU = partial(reference.GRU, dtype="float32")

needs_sklearn = pytest.mark.skipif(
    find_spec("sklearn") is None, reason="scikit-learn is not installed"
)
needs_tqdm = pytest.mark.skipif(find_spec("tqdm") is None, reason="tqdm is not installed")

PHRASE = "the quick brown fox jumps over the lazy dog. "


def arguments(demo, *given):
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    return parser.parse_args(given)


@pytest.fixture
def without(monkeypatch):
    """Make a package look as if it were not installed."""

    def hide(name):
        monkeypatch.setitem(sys.modules, name, None)

    return hide


@pytest.fixture
def default_interrupt():
    """Python's own handler of Ctrl-C, whatever the process was started with."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def phrase_file(tmp_path):
    path = tmp_path / "phrase.txt"
    path.write_text(PHRASE * 40, encoding="utf-8")
    return str(path)


# Corpus.


def test_documentation_is_long_english():
    found = corpus.documentation()

    assert len(found) > 100_000
    assert "statement" in found


def test_corpus_holds_the_last_tenth_out_and_decodes():
    found = corpus.make_corpus("it", PHRASE * 10, length=8)

    assert found.held_out.size == len(PHRASE)
    assert found.decode([*found.training, *found.held_out]) == PHRASE * 10
    assert found.characters == "".join(sorted(set(PHRASE)))


def test_corpus_takes_any_characters():
    letters = "aé漢😀\udc80"

    found = corpus.make_corpus("it", letters * 20, length=8)

    assert found.decode(found.training[:5].tolist()) == letters


def test_chunks_continue_row_by_row_and_targets_are_one_ahead():
    integers = np.arange(100)

    found = list(corpus.chunks(integers, batch=3, length=8))

    assert len(found) == 4
    for inputs, targets in found:
        assert inputs.shape == (8, 3)
        np.testing.assert_array_equal(targets, inputs + 1)
    for (before, _), (after, _) in pairwise(found):
        np.testing.assert_array_equal(after[0], before[-1] + 1)


@every("size", [9, 10, 20, 41])
def test_chunks_of_a_short_text_have_fewer_rows(size):
    found = list(corpus.chunks(np.arange(size), batch=32, length=8))

    assert found
    assert found[0][0].shape == (8, (size - 1) // 8)


@every(
    "content, message",
    [
        (b"", "expected at least 90 characters for --length 8, got 0"),
        (b"x" * 89, "expected at least 90 characters for --length 8, got 89"),
        (b"abc\xff\xfe", "expected UTF-8 text, got byte 3 that is not"),
        (None, "no such file or directory"),
    ],
    ids=["empty", "short", "binary", "missing"],
)
def test_bad_file_is_named(tmp_path, content, message):
    path = tmp_path / "book.txt"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(DemoError, match=f"book.txt: {message}"):
        text.run(arguments(text, "--file", str(path), "--length", "8"), LSTM)


def test_directory_is_no_file(tmp_path):
    with pytest.raises(DemoError, match="is a directory"):
        text.run(arguments(text, "--file", str(tmp_path)), LSTM)


def test_byte_order_mark_is_not_part_of_the_text(tmp_path):
    path = tmp_path / "book.txt"
    path.write_bytes(b"\xef\xbb\xbfabc")

    assert corpus.load_file(str(path)) == "abc"


# Text.


@pytest.mark.parametrize("layer_class", [LSTM, GRU], ids=["lstm", "gru"])
def test_text_learns_a_phrase_and_writes_it(layer_class):
    found = corpus.make_corpus("phrase", PHRASE * 60, length=16)
    model = text.CharacterModel(layer_class, len(found.characters), hidden=32, seed=0)
    before = model.bits(found.held_out, 16)
    progress = PlainLines(60.0, "s", io.StringIO())

    summary = text.train(model, found, progress, seconds=60.0, length=16, max_steps=150)

    assert before > 4.0
    assert summary.steps == 150
    assert summary.held_out_bits < 1.0
    assert "brown fox jumps" in text.sample(model, found, 100, seed=0)


def test_text_gives_the_same_bits_for_the_same_seed_and_steps():
    found = corpus.make_corpus("phrase", PHRASE * 20, length=8)
    models = [text.CharacterModel(LSTM, len(found.characters), hidden=8, seed=3) for _ in range(2)]

    summaries = [
        text.train(
            model, found, PlainLines(1.0, "s", io.StringIO()), seconds=1e6, length=8, max_steps=5
        )
        for model in models
    ]

    assert summaries[0].training_bits == summaries[1].training_bits
    assert text.sample(models[0], found, 20, 1) == text.sample(models[1], found, 20, 1)


def test_text_carries_the_state_through_a_pass_and_starts_the_next_one_afresh():
    found = corpus.make_corpus("phrase", PHRASE * 40, length=16)  # 3 chunks of training text
    seen = []

    class Watching(text.CharacterModel):
        def gradients(self, inputs, targets, state=None):
            loss, gradients, after = super().gradients(inputs, targets, state)
            seen.append((state, after))
            return loss, gradients, after

    model = Watching(LSTM, len(found.characters), hidden=4, seed=0)
    progress = PlainLines(1.0, "s", io.StringIO())

    text.train(model, found, progress, seconds=1e6, length=16, max_steps=4)

    assert [state is None for state, _ in seen] == [True, False, False, True]
    assert seen[1][0] is seen[0][1]
    assert seen[2][0] is seen[1][1]


def test_text_stops_when_the_time_is_up():
    found = corpus.make_corpus("phrase", PHRASE * 20, length=8)
    model = text.CharacterModel(LSTM, len(found.characters), hidden=8, seed=0)

    summary = text.train(model, found, PlainLines(0.2, "s", io.StringIO()), seconds=0.2, length=8)

    assert not summary.interrupted
    assert summary.seconds >= 0.2
    assert summary.steps >= 1


def test_text_run_reports_and_writes_a_sample(phrase_file, capsys):
    args = arguments(
        text, "--file", phrase_file, "--steps", "3", "--hidden", "8", "--length", "8",
        "--sample", "20",
    )  # fmt: skip

    code = text.run(args, LSTM)

    out = capsys.readouterr().out
    assert code == 0
    assert "1,800 characters, 28 different ones" in out
    assert "Embedding(28, 28) -> LSTM(28, 8) -> Linear(8, 28)" in out
    assert "Trained 3 steps in" in out
    assert "on text it has not seen" in out
    assert len(out.split("It now writes:\n\n")[1].rstrip("\n")) <= 21


@pytest.mark.usefixtures("default_interrupt")
def test_text_interrupted_still_writes_a_sample(phrase_file, capsys, monkeypatch):
    class Interrupting(text.CharacterModel):
        def gradients(self, *given):
            signal.raise_signal(signal.SIGINT)
            return super().gradients(*given)

    monkeypatch.setattr(text, "CharacterModel", Interrupting)
    args = arguments(text, "--file", phrase_file, "--hidden", "8", "--length", "8")

    code = text.run(args, LSTM)

    out = capsys.readouterr().out
    assert code == 0
    assert "Stopped after 1 step in" in out
    assert "It now writes:" in out


def test_text_runs_without_tqdm(phrase_file, capsys, without):
    without("tqdm")
    args = arguments(text, "--file", phrase_file, "--steps", "3", "--hidden", "8", "--length", "8")

    code = text.run(args, LSTM)

    err = capsys.readouterr().err
    assert code == 0
    assert err.startswith("  40/40 s  ")
    assert "bits/char, held-out" in err
    assert err.count("\n") == 1


# Digits.


@needs_sklearn
def test_digits_are_split_scaled_and_shuffled_by_seed():
    training, held_out = digits.load_digits(seed=0)
    other, _ = digits.load_digits(seed=1)

    assert training.pictures.shape == (8, 1438, 8)
    assert held_out.pictures.shape == (8, 359, 8)
    assert training.pictures.dtype == np.float32
    assert (training.pictures.min(), training.pictures.max()) == (-1.0, 1.0)
    assert (training.labels[:100] != other.labels[:100]).any()


@needs_sklearn
@pytest.mark.parametrize("layer_class", [LSTM, GRU], ids=["lstm", "gru"])
def test_digits_learn(layer_class):
    training, held_out = digits.load_digits(seed=0)
    model = digits.DigitsModel(layer_class, 8, hidden=32, seed=0)
    before = model.accuracy(held_out)

    stopped = digits.train(
        model, training, held_out, PlainLines(3, "epochs", io.StringIO()), epochs=3, seed=0
    )

    assert not stopped
    assert before < 0.3
    assert model.accuracy(held_out) > 0.8


@needs_sklearn
def test_digits_run_reports_the_accuracy(capsys):
    code = digits.run(arguments(digits, "--epochs", "1", "--hidden", "4"), LSTM)

    captured = capsys.readouterr()
    assert code == 0
    assert "of digits never seen are recognised" in captured.out
    assert "held-out" in captured.err


def test_digits_without_sklearn_say_what_to_install(without):
    without("sklearn.datasets")

    with pytest.raises(DemoError, match=r'pip install "simdrnn\[demo\]"'):
        digits.run(arguments(digits), LSTM)


# Progress.


def test_without_tqdm_there_are_plain_lines(without):
    without("tqdm")

    assert isinstance(open_progress(1.0, "s"), PlainLines)


@needs_tqdm
def test_with_tqdm_there_is_a_bar():
    stream = io.StringIO()

    with open_progress(40.0, "s", stream) as progress:
        progress.update(10.0, "loss 0.5")
        progress.update(41.0, "loss 0.1")

    assert isinstance(progress, Bar)
    assert stream.getvalue().endswith("| loss 0.1\n")
    assert "40/40 s" in stream.getvalue()


def test_plain_lines_come_every_two_seconds_and_at_the_end(monkeypatch):
    clock = iter(np.arange(0.0, 100.0, 0.5))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    stream = io.StringIO()

    with PlainLines(40.0, "s", stream) as progress:
        for second in range(5):
            progress.update(second, f"loss {second}")

    assert stream.getvalue().splitlines() == ["   3/40 s  loss 3", "   4/40 s  loss 4"]


@pytest.mark.usefixtures("default_interrupt")
def test_first_interrupt_is_a_request_and_the_second_raises():
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)

        assert interrupt.requested
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.usefixtures("default_interrupt")
def test_interrupt_gives_the_handler_back():
    with Interrupt():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler

    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("default_interrupt")
def test_ignored_interrupts_stay_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)

    assert not interrupt.requested


def test_interrupt_does_nothing_outside_the_main_thread():
    with ThreadPoolExecutor(1) as pool:
        interrupt = pool.submit(lambda: Interrupt().__enter__()).result()

    assert not interrupt.requested


# Options.


@every(
    "given, message",
    [
        (("--seconds", "0"), "argument --seconds: expected a positive number, got '0'"),
        (("--seconds", "nan"), "argument --seconds: expected a positive number, got 'nan'"),
        (("--seconds", "soon"), "argument --seconds: expected a positive number, got 'soon'"),
        (("--hidden", "0"), "argument --hidden: expected a positive integer, got '0'"),
        (("--length", "1.5"), "argument --length: expected a positive integer, got '1.5'"),
        (("--seed", "-1"), "argument --seed: expected a non-negative integer, got '-1'"),
    ],
)
def test_bad_option_is_named(given, message, capsys):
    with pytest.raises(SystemExit) as stop:
        arguments(text, *given)

    assert stop.value.code == 2
    assert message in capsys.readouterr().err
