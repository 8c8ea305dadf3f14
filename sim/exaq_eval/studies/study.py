"""What a study is, and how it becomes a section of a document."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from exaq_eval.progress import Progress, silent


class StudyError(RuntimeError):
    """A model or a tool that a study needs is missing or fails; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class Study(ABC):
    """One question, answered by one command; fields of subclasses are its sizes and seeds.

    Members
    -------
    name
        On the command line and in file names.
    title
        Heading of its section.
    question
        What is asked, in a sentence.
    page
        The page of the documentation that has its section: ``accuracy``, or ``kernels``.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    question: ClassVar[str]
    page: ClassVar[str] = "accuracy"

    @classmethod
    def quick(cls) -> Self:
        """The study at sizes that take seconds: for a first look, and for tests."""
        return cls()

    @abstractmethod
    def run(self, progress: Progress = silent) -> dict[str, Any]:
        """All figures, as plain JSON values: the same seeds give the same figures.

        Raises
        ------
        ImportError
            An optional package is missing; the message names it.
        StudyError
            A model or a tool is missing or fails.
        """

    def joined(self, result: dict[str, Any], reports: Path) -> dict[str, Any]:
        """``result`` with what the page shows besides, from the ``reports`` of ``exaq bench``."""
        return result

    @abstractmethod
    def body(self, result: dict[str, Any]) -> list[str]:
        """Method, tables and what follows from them: Markdown paragraphs, without heading."""

    def markdown(self, result: dict[str, Any]) -> str:
        """A section of a document, from heading to command, of what ``run`` returned.

        It has no picture: who calls ``plot`` knows where that lies.
        """
        command = f"exaq evaluate --study {self.name}"
        parts = [f"## {self.title}", self.question, *self.body(result), f"Made by `{command}`."]
        return "\n\n".join(parts) + "\n"

    def plot(self, result: dict[str, Any], path: Path) -> Path | None:
        """Draws ``result`` as a PNG at ``path`` and returns that; None where there is no plot."""
        return None
