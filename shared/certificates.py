"""Certificates and keys in settings: the name of a file, or the PEM text itself, as secrets come in containers."""

import atexit
import os
import ssl
import tempfile
from functools import cache
from pathlib import Path

from shared.errors import SettingsError

_PEM = "-----BEGIN "


def as_file(value: str) -> str:
    """The name of a file that holds the certificate or key of a setting.

    TLS libraries read keys from files only: a PEM text is written to one that this user alone can read, and that goes
    when the process ends.
    """
    return _written(value) if _PEM in value else value


def check_authority(setting: str, value: str) -> None:
    """SettingsError with one line that names `setting`, unless `value` is certificates to trust."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=as_file(value))
    except OSError as exc:
        raise SettingsError(f"{setting}: {_shown(value)} {_trouble(exc)}") from exc


def check_pair(setting: str, certificate: str, key: str | None) -> None:
    """SettingsError with one line, unless `certificate`, of `setting`, and `key` belong together. Without a key, the
    certificate's file holds it too."""
    for value in (certificate, key):
        if value and _PEM not in value and not os.access(value, os.R_OK):
            raise SettingsError(f"{setting} or its key: {value} cannot be read")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(
            as_file(certificate), as_file(key) if key else None, password=""
        )
    except OSError as exc:
        raise SettingsError(f"{setting} and its key, {_shown(certificate)}: {_trouble(exc)}") from exc


def system_authorities() -> str | None:
    """The file of the certificates that this system trusts, if it has one."""
    return ssl.get_default_verify_paths().cafile


def _shown(value: str) -> str:
    return "the PEM text" if _PEM in value else value


def _trouble(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"is not what it should be ({error.reason or 'not PEM'})"
    return f"cannot be read ({error.strerror})"


@cache
def _written(text: str) -> str:
    # mkstemp lets nobody else read it. An \n in a setting of one line stands for the end of a line.
    descriptor, name = tempfile.mkstemp(prefix="ecs-", suffix=".pem")
    atexit.register(Path(name).unlink, missing_ok=True)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text.replace("\\n", "\n").strip() + "\n")
    return name
