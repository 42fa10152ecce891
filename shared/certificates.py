"""Certificates and keys in settings: the name of a file, or PEM text, which is how containers pass secrets."""

import atexit
import os
import ssl
import tempfile
from functools import cache
from pathlib import Path

from shared.errors import SettingsError

_PEM = "-----BEGIN "


def as_file(value: str) -> str:
    """The name of a file with the certificate or key of a setting.

    TLS libraries read keys from files only. So PEM text is written to a file that only this user can read, and that is
    removed when the process ends.
    """
    return _written(value) if _PEM in value else value


def check_authority(setting: str, value: str) -> None:
    """Raise SettingsError with one line that names `setting`, unless `value` has certificates to trust."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=as_file(value))
    except OSError as exc:
        raise SettingsError(f"{setting}: {_shown(value)} {_trouble(exc)}") from exc


def check_pair(setting: str, certificate: str, key: str | None) -> None:
    """Raise SettingsError with one line that names `setting`, unless `certificate` and `key` belong together. Without
    `key`, the certificate's file must have the key too."""
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
    """The file of the certificates that this system trusts; None if there is none."""
    return ssl.get_default_verify_paths().cafile


def _shown(value: str) -> str:
    return "the PEM text" if _PEM in value else value


def _trouble(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"is not what it should be ({error.reason or 'not PEM'})"
    return f"cannot be read ({error.strerror})"


@cache
def _written(text: str) -> str:
    # mkstemp makes the file readable for this user only. \n in a setting of one line means the end of a line.
    descriptor, name = tempfile.mkstemp(prefix="ecs-", suffix=".pem")
    atexit.register(Path(name).unlink, missing_ok=True)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text.replace("\\n", "\n").strip() + "\n")
    return name
