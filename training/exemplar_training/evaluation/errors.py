"""What can go wrong in an evaluation, in the project's words."""

from __future__ import annotations

from exemplar_training.errors import TrainingError


class EvaluationError(TrainingError):
    """Episodes that cannot be drawn or that leak, and images that cannot be embedded."""
