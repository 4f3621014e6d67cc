"""What the demonstration prints: chapters, sentences, the commands that a person would type, and what they answered."""

import asyncio

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.rule import Rule
from rich.text import Text

_INDENT = 4


class Narrator:
    """Tells the story on a console; `pause_seconds` lets a person read after each chapter's text."""

    def __init__(self, console: Console, *, pause_seconds: float) -> None:
        self._console = console
        self._pause_seconds = pause_seconds
        self._chapters = 0

    @property
    def is_terminal(self) -> bool:
        """Whether a person reads along."""
        return self._console.is_terminal

    @property
    def width(self) -> int:
        """Columns for what is indented."""
        return self._console.width - _INDENT

    def chapter(self, title: str) -> None:
        """A new part of the story."""
        self._chapters += 1
        text = f"{self._chapters}. {title}"
        self._console.print()
        self._console.print(Rule(Text(text, style="bold cyan"), align="left") if self.is_terminal else text)

    def say(self, text: str) -> None:
        """A sentence about what happens; may hold rich markup."""
        self._print(text)

    def command(self, line: str, *, note: str = "") -> None:
        """A command as a person would type it."""
        self._console.print()
        said = f"  [dim]# {escape(note)}[/dim]" if note else ""
        self._print(f"  [bold green]$ {escape(line)}[/bold green]{said}")

    def answer(self, text: str) -> None:
        """What a command printed, its colours kept."""
        if not text.strip():
            return
        if self.is_terminal:
            self._console.print(Padding(Text.from_ansi(text.rstrip("\n")), (0, 0, 0, _INDENT)))
        else:
            for line in text.rstrip("\n").splitlines():
                self._print(escape(f"    {line}"))

    def good(self, text: str) -> None:
        """What was reached."""
        self._print(f"  [bold green]✓[/bold green] {text}")

    async def pause(self, share: float = 1) -> None:
        """Time to read."""
        if self._pause_seconds:
            await asyncio.sleep(self._pause_seconds * share)

    def _print(self, text: str) -> None:
        self._console.print(text, soft_wrap=not self.is_terminal, highlight=False)
