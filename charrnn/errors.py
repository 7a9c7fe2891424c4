"""Every error a person can meet, as one tree.

    CharrnnError
    ├── ConfigError       a setting that is unknown, of the wrong type or out of range
    ├── CorpusError       a text that cannot be read or downloaded, or is too short
    ├── CheckpointError   a model folder that is missing, damaged, hostile or unwritable
    ├── RunError          a run that does not exist, is busy or cannot be followed
    ├── HubError          a push or pull that failed
    └── TrainingError     a training that began and could not go on

The message of each is a sentence for the person at the page or the terminal:
what was received, what was expected and what to do. The command line turns
`TrainingError` into exit code 1 (2 where it is `invalid`), every other one into 2.
"""


class CharrnnError(Exception):
    """Base of all errors of this package; its text is meant to be shown."""


class ConfigError(CharrnnError):
    """A setting is unknown, of the wrong type or out of range.

    Args:
        message: The sentence to show.
        field: Name of the setting, so that a form can mark it; empty if none.
    """

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class CorpusError(CharrnnError):
    """A text cannot be read, decoded or downloaded, or is too short or long."""


class CheckpointError(CharrnnError):
    """A model folder is missing, damaged, hostile or cannot be written."""


class RunError(CharrnnError):
    """A run does not exist, is already being trained or cannot be changed."""


class HubError(CharrnnError):
    """A push to or a pull from the Hugging Face Hub failed."""


class TrainingError(CharrnnError):
    """A training had begun and could not go on.

    Args:
        message: The sentence to show.
        recorded: Whether the run's history holds it, and so its listener showed it.
        invalid: Whether what was asked for cannot be done, and no step was made.
    """

    def __init__(
        self, message: str, *, recorded: bool = False, invalid: bool = False
    ) -> None:
        super().__init__(message)
        self.recorded = recorded
        self.invalid = invalid
