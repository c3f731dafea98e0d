from __future__ import annotations

import os
import subprocess
import sys
from types import ModuleType

import pytest

from helpers_loops import every
from simdrnn._version import __version__
from simdrnn.cli import main
from simdrnn.demos import DemoError, digits, text


def stop_code(argv):
    with pytest.raises(SystemExit) as stop:
        main(argv)
    return stop.value.code


@pytest.fixture
def fake_module(monkeypatch):
    """Put a module with the given attributes in place of one that may not be there."""

    def put(name, **attributes):
        module = ModuleType(name)
        vars(module).update(attributes)
        monkeypatch.setitem(sys.modules, name, module)

    return put


def test_info_prints_the_configuration(fake_module, capsys):
    fake_module("simdrnn.runtime", show_config=lambda: print("ISA avx2"))

    code = main(["info"])

    assert code == 0
    assert capsys.readouterr().out == "ISA avx2\n"


def test_version(capsys):
    code = stop_code(["--version"])

    assert code == 0
    assert capsys.readouterr().out == f"simdrnn {__version__}\n"


@every(
    "argv, expected",
    [
        (["--help"], ["info", "bench", "demo"]),
        (["demo", "--help"], ["text", "digits"]),
        (["demo", "text", "--help"], ["--file", "--seconds", "--seed", "--hidden", "--length"]),
        (["demo", "digits", "--help"], ["--cell", "--epochs", "--hidden", "--seed"]),
    ],
)
def test_help_names_what_there_is(argv, expected, capsys):
    code = stop_code(argv)

    out = capsys.readouterr().out
    assert code == 0
    assert all(word in out for word in expected)


@every("argv", [[], ["train"], ["demo", "cats"], ["demo", "text", "--speed", "9"]])
def test_wrong_usage_exits_with_2_and_a_message(argv, capsys):
    code = stop_code(argv)

    assert code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize("code", [0, 1])
def test_bench_takes_its_options_and_gives_its_code(fake_module, code):
    seen = []
    fake_module(
        "simdrnn.bench.cli",
        add_arguments=lambda parser: parser.add_argument("--quick", action="store_true"),
        run=lambda args: seen.append(args.quick) or code,
    )

    assert main(["bench", "--quick"]) == code
    assert seen == [True]


def test_demo_runs_with_its_options(monkeypatch):
    seen = []
    monkeypatch.setattr(text, "run", lambda args: seen.append((args.file, args.seconds)) or 0)

    assert main(["demo", "text", "--file", "book.txt", "--seconds", "5"]) == 0
    assert seen == [("book.txt", 5.0)]


def test_what_the_user_can_mend_is_one_sentence_and_code_2(monkeypatch, capsys):
    def run(args):
        raise DemoError("the digits are missing")

    monkeypatch.setattr(digits, "run", run)

    code = main(["demo", "digits"])

    captured = capsys.readouterr()
    assert code == 2
    assert captured.err == "simdrnn demo digits: the digits are missing\n"
    assert captured.out == ""


def test_interrupt_is_quiet(monkeypatch, capsys):
    def run(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(text, "run", run)

    code = main(["demo", "text"])

    assert code == 130
    assert capsys.readouterr().err == "simdrnn: interrupted\n"


def test_python_m_is_the_command():
    command = [sys.executable, "-m", "simdrnn", "--version"]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.stdout == f"simdrnn {__version__}\n"
    assert done.returncode == 0


def test_optional_packages_are_not_imported_before_they_are_used():
    code = (
        "import sys, simdrnn.cli, simdrnn.demos.text, simdrnn.demos.digits;"
        "print([name for name in ('tqdm', 'sklearn', 'torch', 'matplotlib', 'rich', 'onnx')"
        " if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break in another way there")
@every("buffered", [True, False])
def test_a_reader_that_has_enough_is_no_error(buffered):
    command = [sys.executable, *([] if buffered else ["-u"]), "-m", "simdrnn", "info"]
    end, pipe = os.pipe()
    os.close(end)

    done = subprocess.run(command, stdout=pipe, stderr=subprocess.PIPE, text=True, check=False)

    os.close(pipe)
    assert (done.returncode, done.stderr) == (141, "")
