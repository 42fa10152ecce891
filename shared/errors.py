"""The base of the project's exceptions, and those that several packages raise."""


class EcsError(Exception):
    """The base of the errors that this project raises on purpose; the text is for a person."""


class SettingsError(EcsError):
    """A setting is missing or malformed. The text is one line that names it."""


class StartupError(EcsError):
    """A process cannot start: a port is in use, a server does not answer in time, a program is missing."""
