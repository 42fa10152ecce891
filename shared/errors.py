"""The project's exceptions: one base, few leaves."""


class EcsError(Exception):
    """Base of every error this project raises on purpose; its text is meant for a person."""


class SettingsError(EcsError):
    """A setting is missing or malformed. The text is one line that names it."""


class StartupError(EcsError):
    """A process cannot start: a port is in use, a server does not answer in time, a program is missing."""
