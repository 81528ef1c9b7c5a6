"""What a reader takes away: a letter as a file."""

from __future__ import annotations

from fastapi import Response

from workflow import typeset
from workflow.acknowledgements import Paper
from workflow.typeset import Letter

PDF = "application/pdf"


def pdf_of(paper: Paper, letter: Letter) -> Response:
    """An acknowledgement as a file to keep. Raises NotTypeset."""
    named = f'attachment; filename="{paper.name}"'
    return Response(typeset.pdf(letter), media_type=PDF, headers={"Content-Disposition": named})
