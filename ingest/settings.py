"""The settings that ingest runs with."""

from collections.abc import Mapping

from msgspec import Struct

from shared import config


class Settings(Struct, frozen=True):
    """Every kind of setting that ingest reads."""

    db: config.Database
    mqtt: config.Mqtt
    ingest: config.Ingest
    retention: config.Retention
    dashboard: config.Dashboard
    log: config.Log


def read(env: Mapping[str, str]) -> Settings:
    """The settings in `env`. Raises SettingsError with one line that names what is wrong."""
    return config.read_all(Settings, env)
