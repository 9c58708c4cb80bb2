"""What can go wrong offline, in the project's words; the command line prints it and exits with 1.

TrainingError
├── UnknownBackboneError    no network of this name
├── WeightsError            weights that are missing, unreadable or of another network
├── ConfigError             a run's configuration: unknown key, wrong type, out of range
├── CheckpointError         a checkpoint that is missing, broken, half written or another run's
├── FitError                training cannot go on: no memory, no finite loss, unusable images
├── DataError               a set that is missing, damaged or cannot be fetched; says what to do
├── EvaluationError         episodes that cannot be drawn or that leak, images that do not embed
└── ExportError             a gate failed or the artifact cannot be written: nothing was written
"""

from __future__ import annotations


class TrainingError(Exception):
    """Base of all. Messages are lower case and name the field, the expectation and the value."""


class UnknownBackboneError(TrainingError):
    pass


class WeightsError(TrainingError):
    pass


class ExportError(TrainingError):
    pass


class ConfigError(TrainingError):
    pass


class CheckpointError(TrainingError):
    pass


class FitError(TrainingError):
    pass


class DataError(TrainingError):
    pass


class EvaluationError(TrainingError):
    pass
