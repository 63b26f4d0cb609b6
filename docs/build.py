#!/usr/bin/env python3
"""Writes the generated part of docs/command-line.md and checks the links between the pages.

python docs/build.py            write
python docs/build.py --check    say what would have to be written, and write nothing
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click
from guywire.cli import main

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/command-line.md"
MARKER = "<!-- What follows is written by `make docs`. -->\n"

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def reference(command: click.Command, path: tuple[str, ...] = ("guywire",)) -> str:
    """The help of a command and of all those below it, as Markdown."""
    context = click.Context(command, info_name=" ".join(path), terminal_width=100, max_content_width=100)
    # The page says once that every command has --help.
    text = re.sub(r"\n\nOptions:\n  (-h, )?--help +Show this message and exit\.$", "", command.get_help(context))
    parts = [f"## `{' '.join(path)}`\n\n```text\n{text}\n```\n"]
    if isinstance(command, click.Group):
        parts += [reference(command.commands[name], (*path, name)) for name in sorted(command.commands)]
    return "\n".join(parts)


def broken_links() -> list[str]:
    """Links to files that are not there."""
    broken = []
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in _LINK.findall(page.read_text()):
            path, _, _ = target.partition("#")
            if path and "://" not in path and not path.startswith("mailto:") and not (page.parent / path).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    return broken


def build(*, check: bool) -> list[str]:
    """Returns what is wrong."""
    wrong = [f"broken link: {link}" for link in broken_links()]
    written = PAGE.read_text()
    prose, _, _ = written.partition(MARKER)
    wanted = f"{prose}{MARKER}\n{reference(main)}"
    if check and wanted != written:
        wrong.append(f"{PAGE.relative_to(ROOT)} is not up to date: run make docs")
    elif not check:
        PAGE.write_text(wanted)
    return wrong


if __name__ == "__main__":
    problems = build(check="--check" in sys.argv)
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)
