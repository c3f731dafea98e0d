"""``simdrnn demo NAME`` for examples of the gallery: listed, run, saved, or one sentence."""

from __future__ import annotations

import json
import sys

import pytest

from helpers_loops import every
from simdrnn.cli import main
from simdrnn.demos import gallery

SCRIPT = '''"""
A title
=======

What it is.

Needs: numpy, {package}. Takes: 90 seconds.
"""

from _half import half

from simdrnn.demos.gallery import by_size

scores = {{"half": half(by_size(full=100, small=2))}}
print("ran to", scores["half"])
'''
DRAWING = (
    SCRIPT
    + """
import matplotlib.pyplot as plt

for _ in range(2):
    plt.plot([1, 2])
    plt.show()
plt.figure()
plt.figure()
plt.show(block=False)
"""
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a gallery of one's own, with a function that puts an example into it."""
    monkeypatch.setattr(gallery, "folder", lambda: tmp_path)
    monkeypatch.delenv("SIMDRNN_GALLERY", raising=False)

    def put(name, text=SCRIPT, package="numpy"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / f"{name}.py").write_text(text.format(package=package), encoding="utf-8")
        helper = "def half(value):\n    return value / 2\n"
        (tmp_path / name / "_half.py").write_text(helper, encoding="utf-8")
        return tmp_path / name

    return put


def test_all_are_listed_by_kind_with_their_duration(place, capsys):
    for name in ("zebras", "drift", "captions"):
        place(name)
    place("sentiment", package="no-such-package")

    code = main(["demo"])

    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines if line.startswith("  ")]
    assert code == 0
    assert names == ["text", "digits", "captions", "sentiment", "drift", "zebras"]
    assert "  drift      A title (90 s)" in lines
    assert "  sentiment  A title (90 s; needs no-such-package)" in lines
    assert "Many to one" in lines


@every("argv, half", [([], 50.0), (["--small"], 1.0)])
def test_one_runs_in_the_size_asked_for(argv, half, place, capsys):
    place("zebras")

    code = main(["demo", "zebras", *argv])

    assert code == 0
    assert f"ran to {half}" in capsys.readouterr().out


@every("value, half", [("small", 1.0), ("full", 50.0), ("", 50.0)])
def test_the_environment_decides_where_nothing_is_said(value, half, place, monkeypatch):
    place("zebras")
    monkeypatch.setenv("SIMDRNN_GALLERY", value)

    assert gallery.run_example("zebras") == {"half": half}
    assert gallery.run_example("zebras", small=True) == {"half": 1.0}
    assert gallery.run_example("zebras") == {"half": half}


def test_what_a_script_could_import_is_gone_afterwards(place):
    folder = place("zebras")
    (place("drift") / "_half.py").write_text("def half(value):\n    return -1\n", encoding="utf-8")
    before = list(sys.path)

    assert gallery.run_example("zebras") == {"half": 50.0}
    assert gallery.run_example("drift") == {"half": -1.0}
    assert sys.path == before
    assert "_half" not in sys.modules
    assert folder.is_dir()


def test_pictures_and_scores_are_saved(place, tmp_path, capsys):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    place("zebras", DRAWING)
    target, show = tmp_path / "new" / "folder", pyplot.show

    code = main(["demo", "zebras", "--small", "--save", str(target)])

    names = [f"zebras_{number}.png" for number in range(1, 5)]
    assert code == 0
    assert sorted(path.name for path in target.iterdir()) == ["scores.json", *names]
    assert json.loads((target / "scores.json").read_text()) == {"half": 1.0}
    assert str(target / "zebras_4.png") in capsys.readouterr().out
    assert pyplot.show is show
    assert pyplot.get_fignums() == []


def test_without_a_screen_the_folder_of_the_pictures_is_named(place, capsys, monkeypatch, tmp_path):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    place("zebras", DRAWING)

    main(["demo", "zebras"])

    (folder,) = tmp_path.glob("simdrnn_zebras_*")
    assert str(folder / "zebras_1.png") in capsys.readouterr().out
    assert len(list(folder.iterdir())) == 4


def test_with_a_screen_windows_open(place, monkeypatch, capsys):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    shown = []
    monkeypatch.setattr(pyplot, "get_backend", lambda: "QtAgg")
    monkeypatch.setattr(pyplot, "show", lambda **given: shown.append(pyplot.get_fignums()))
    place("zebras", DRAWING)

    main(["demo", "zebras"])

    assert len(shown) == 3
    assert ".png" not in capsys.readouterr().out
    pyplot.close("all")


@every(
    "argv, environment, sentence",
    [
        (["lacking"], {}, "needs no-such-package, not installed here: pip install no-such-package"),
        (["zebras"], {"SIMDRNN_GALLERY": "tiny"}, "expected small or full, got 'tiny'"),
        (["zebras", "--save", "{file}"], {}, "--save: "),
    ],
)
def test_what_cannot_run_is_one_sentence(argv, environment, sentence, place, capsys, monkeypatch):
    file = place("zebras") / "zebras.py"
    place("lacking", package="no-such-package")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    code = main(["demo", *(word.format(file=file) for word in argv)])

    told = capsys.readouterr().err
    assert code == 2
    assert told.startswith(f"simdrnn demo {argv[0]}: ")
    assert sentence in told
    assert told.count("\n") == 1


def test_an_interrupt_is_quiet_and_leaves_nothing_behind(place, capsys):
    place("zebras", SCRIPT + "\nraise KeyboardInterrupt\n")
    before = list(sys.path)

    code = main(["demo", "zebras"])

    assert code == 130
    assert capsys.readouterr().err == "simdrnn: interrupted\n"
    assert sys.path == before


@every(
    "docstring",
    [
        "",
        "A title",
        "A title\n\nTakes: 3 seconds.",
        "A title\n\nNeeds: numpy. Takes: some seconds.",
        "A title\n\nNeeds: numpy. Takes: 3 seconds. And more.",
    ],
)
def test_a_docstring_without_its_last_line_is_refused(docstring, place):
    place("zebras", f'"""{docstring}"""\n')

    with pytest.raises(ValueError, match="ends with 'Needs: package, package"):
        gallery.examples()


def test_a_copy_without_examples_has_the_other_demonstrations(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gallery, "folder", lambda: tmp_path / "none")

    assert main(["demo"]) == 0
    assert "digits" in capsys.readouterr().out
