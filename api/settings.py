"""The settings that the api runs with."""

from collections.abc import Mapping

from msgspec import Struct

from shared import config


class Settings(Struct, frozen=True):
    """Every kind of setting that the api reads."""

    db: config.Database
    api: config.Api
    dashboard: config.Dashboard
    log: config.Log


def read(env: Mapping[str, str]) -> Settings:
    """The settings in `env`. Raises SettingsError with one line that names what is wrong."""
    return config.read_all(Settings, env)
