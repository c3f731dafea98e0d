"""The command line: ``simdrnn info``, ``bench``, ``convert``, ``demo NAME``, ``onnx run MODEL``.

Only the module of the command given is imported, so that each starts as fast as it can.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from simdrnn._version import __version__

__all__ = ["main"]

# Command -> module with `add_arguments` and `run`, and the line of help.
_COMMANDS = {
    "bench": ("simdrnn.bench.cli", "time forward and training against other implementations"),
    "convert": ("simdrnn.cli.convert", "turn a model of RTNeural, NAM or ours into a file for C"),
}
_DEMOS = {
    "text": ("simdrnn.demos.text", "a character model of Python's documentation, in a minute"),
    "digits": ("simdrnn.demos.digits", "handwritten digits, row by row (needs scikit-learn)"),
}
_GALLERY = "simdrnn.demos.gallery"  # runs all its examples, by name
_ONNX = {
    "run": ("simdrnn.cli.onnx_run", "run an ONNX model on arrays from files (needs onnx)"),
}
_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_NO_READER = 141  # 128 + SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv`, by default the process's; return the exit code.

    0: done. 1: the command ran and found a failure. 2: the arguments, or what they name, cannot be
    used; one sentence on stderr says why. 130: Ctrl-C. 141: whoever read the output, as ``head``
    does, has enough.
    """
    try:
        code = _command(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("simdrnn: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:  # what is left to be written is written when Python ends: nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _NO_READER


def _command(arguments: list[str]) -> int:
    """Run what these arguments say; return the exit code."""
    args = _parser(arguments).parse_args(arguments)
    if args.command == "info":
        from simdrnn.runtime import show_config

        show_config()
        return 0
    if args.command == "demo" and args.name is None:
        from simdrnn.demos.gallery import list_examples

        print(list_examples({name: line for name, (_, line) in _DEMOS.items()}))
        return 0
    return _run(args)


def _run(args: argparse.Namespace) -> int:
    from simdrnn.demos import DemoError

    try:
        return int(import_module(args.module).run(args))
    except DemoError as error:
        print(f"simdrnn {args.command} {args.name}: {error}", file=sys.stderr)
        return 2


def _parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser, with the options of the one command that `arguments` name."""
    parser = argparse.ArgumentParser(
        prog="simdrnn", description="Fast, exact recurrent networks on a CPU."
    )
    parser.add_argument("--version", action="version", version=f"simdrnn {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    summary = "show version, compiler, instruction sets and threads"
    commands.add_parser("info", help=summary, description=summary)
    _add_commands(commands, _COMMANDS, arguments[:1])
    summary = "train something real in minutes; without a name: what there is"
    demo = commands.add_parser("demo", help=summary, description=summary)
    demos = demo.add_subparsers(dest="name", metavar="NAME")
    _add_commands(demos, _demos() if arguments[:1] == ["demo"] else _DEMOS, arguments[1:2])
    summary = "run ONNX models"
    models = commands.add_parser("onnx", help=summary, description=summary)
    actions = models.add_subparsers(dest="name", metavar="NAME", required=True)
    _add_commands(actions, _ONNX, arguments[1:2])
    return parser


def _demos() -> dict[str, tuple[str, str]]:
    """Return the demonstrations, and the examples of the gallery that are not among them."""
    from simdrnn.demos.gallery import examples

    titles = {name: example.title.replace("%", "%%") for name, example in examples().items()}
    return {name: (_GALLERY, title) for name, title in titles.items()} | _DEMOS


def _add_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    modules: dict[str, tuple[str, str]],
    chosen: Sequence[str],
) -> None:
    for name, (module, summary) in modules.items():
        parser = commands.add_parser(name, help=summary, description=summary)
        parser.set_defaults(module=module)
        if name in chosen:
            import_module(module).add_arguments(parser)
