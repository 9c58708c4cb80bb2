"""What can go wrong with data sets, in the project's words."""

from __future__ import annotations

from exemplar_training.errors import TrainingError


class DataError(TrainingError):
    """A set that is missing, damaged, or cannot be fetched; the message says what to do."""
