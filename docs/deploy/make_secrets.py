"""`make secrets`: random passwords in .env, the broker's password file, a CA and a certificate for its TLS listener.

It needs nothing but Python, and openssl for the certificates. What is there already stays as it is, so it may run
again; the broker's logins of ingest and the simulated fleet follow .env. `--login NAME` adds a login for a VEN, which
may publish on its own topics (docs/deploy/broker/acl), and prints its password once.
"""

import argparse
import base64
import hashlib
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# As mosquitto_passwd: $7$ is PBKDF2 with SHA-512, and the number of its rounds.
_ROUNDS, _SALT_BYTES = 101, 12
_DAYS = 3650
# Which setting of .env holds the password of which login at the broker.
_LOGINS = {"ingest": "MQTT_PASSWORD", "fleet": "FLEET_PASSWORD"}
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


def main(arguments: Sequence[str] | None = None) -> int:
    """0, or 1 with a line on stderr."""
    parser = argparse.ArgumentParser(prog="make secrets", description=__doc__)
    parser.add_argument("--directory", type=Path, default=ROOT, help="where .env and secrets/ are")
    parser.add_argument(
        "--host", action="append", default=[], help="a name of the broker, for its certificate"
    )
    parser.add_argument("--login", help="add a login at the broker, such as the id of a VEN")
    options = parser.parse_args(arguments)
    home: Path = options.directory
    if options.login:
        return _add_login(home, options.login)
    env = _complete_env(home)
    for login, setting in _LOGINS.items():
        _set_password(_passwords(home), login, env[setting])
    _say(f"{_passwords(home)}: logins of {' and '.join(_LOGINS)}")
    return _make_certificates(_broker(home), options.host)


def _add_login(home: Path, name: str) -> int:
    if not _NAME.fullmatch(name):
        sys.stderr.write(f"make secrets: {name!r} must be 1 to 64 letters, digits, '.', '_' or '-'\n")
        return 1
    if name in _LOGINS:
        sys.stderr.write(f"make secrets: the password of {name} is {_LOGINS[name]} in .env\n")
        return 1
    password = _random()
    _set_password(_passwords(home), name, password)
    _say(f"{name} {password}")
    return 0


def _complete_env(home: Path) -> dict[str, str]:
    """The settings of .env, with a random password for each that has none."""
    file = home / ".env"
    fresh = not file.exists()
    text = (home / ".env.example" if fresh else file).read_text(encoding="utf-8")
    if fresh:
        text = re.sub(r"^DB_PASSWORD=.*$", "DB_PASSWORD=", text, flags=re.MULTILINE)
    wanted = {"DB_PASSWORD": None, "MQTT_USERNAME": "ingest", **dict.fromkeys(_LOGINS.values())}
    made = []
    for name, value in wanted.items():
        if not re.search(rf"^{name}=.", text, re.MULTILINE):
            text = _with(text, name, value or _random())
            made.append(name)
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")
    _say(f"{file}: " + (f"made {', '.join(made)}" if made else "nothing was missing"))
    env = dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE))
    if env["DB_PASSWORD"] == "ecs":  # noqa: S105 - the example's
        _say(
            "DB_PASSWORD is the example's: choose another, and ALTER ROLE where the database is made already"
        )
    return env


def _with(text: str, name: str, value: str) -> str:
    """`text` with the setting, in the place where it stands empty or commented out, else at the end."""
    line = f"{name}={value}"
    changed, places = re.subn(rf"^#?{name}=.*$", line, text, count=1, flags=re.MULTILINE)
    return changed if places else f"{text.rstrip()}\n{line}\n"


def _set_password(file: Path, login: str, password: str) -> None:
    """Write the login's line, unless it has this password already."""
    lines = file.read_text(encoding="ascii").splitlines() if file.exists() else []
    before = next((line for line in lines if line.startswith(f"{login}:")), "")
    if before and _fits(before.partition(":")[2], password):
        return
    kept = [line for line in lines if line != before]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.parent.parent.chmod(0o700)
    file.touch(mode=0o600)
    file.write_text("\n".join([*kept, f"{login}:{_hashed(password, secrets.token_bytes(_SALT_BYTES))}", ""]))


def _hashed(password: str, salt: bytes) -> str:
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS)
    return f"$7${_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _fits(hashed: str, password: str) -> bool:
    _, kind, rounds, salt, _ = hashed.split("$")
    return (kind, rounds) == ("7", str(_ROUNDS)) and _hashed(password, base64.b64decode(salt)) == hashed


def _make_certificates(broker: Path, hosts: list[str]) -> int:
    """A CA, and a certificate of the broker for `hosts`, this machine and the name within compose."""
    if (broker / "server.pem").exists():
        _say(f"{broker}/server.pem: there already; remove it for another")
        return 0
    if shutil.which("openssl") is None:
        sys.stderr.write("make secrets: openssl is not installed, so there is no certificate for TLS\n")
        return 1
    names = [*hosts, "broker", "localhost"]
    alternatives = ",".join([*(f"DNS:{name}" for name in names), "IP:127.0.0.1"])
    (broker / "names").write_text(f"subjectAltName={alternatives}\nextendedKeyUsage=serverAuth\n")
    days = ("-days", str(_DAYS))
    if not (broker.parent / "ca-key.pem").exists():
        _openssl(
            broker,
            *("req", "-x509", *_key("../ca-key.pem"), "-out", "ca.pem", *days),
            *("-subj", "/CN=ECS Backend broker CA"),
        )
    _openssl(broker, "req", *_key("server-key.pem"), "-out", "server.csr", "-subj", f"/CN={names[0]}")
    _openssl(
        broker,
        *("x509", "-req", "-in", "server.csr", "-out", "server.pem", *days, "-extfile", "names"),
        *("-CA", "ca.pem", "-CAkey", "../ca-key.pem", "-CAcreateserial", "-CAserial", "../ca.srl"),
    )
    for name in ("server.csr", "names"):
        (broker / name).unlink()
    _say(f"{broker}/server.pem: for {', '.join(names)}; VENs trust {broker}/ca.pem")
    return 0


def _key(file: str) -> tuple[str, ...]:
    return "-newkey", "rsa:3072", "-nodes", "-keyout", file


def _openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)  # noqa: S603, S607


def _broker(home: Path) -> Path:
    return home / "secrets" / "broker"


def _passwords(home: Path) -> Path:
    return _broker(home) / "passwords"


def _random() -> str:
    return secrets.token_urlsafe(24)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
