"""The embedded mosquitto, on a loopback port."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from shared.embedded.child import last_line, spawn, stop
from shared.errors import StartupError
from shared.ports import accepts, require_free

CONFIG = Path(__file__).with_name("mosquitto.conf")
DEFAULT_PORT = 18830
_HOST = "127.0.0.1"
_STOP_TIMEOUT_SECONDS = 30.0
_POLL_SECONDS = 0.02
_MISSING = (
    "mosquitto, the MQTT broker, is not installed: run `make broker`, install it yourself "
    "(apt-get install mosquitto, dnf install mosquitto, brew install mosquitto), "
    "or set MQTT_HOST to a broker you have"
)
_PORT_TAKEN = (
    "the embedded broker needs it: stop the program that has it, choose another with --broker-port, "
    "or, if that program is a broker you want to use, set MQTT_HOST and MQTT_PORT"
)


def find_mosquitto() -> str | None:
    """The path of mosquitto, None without one. Debian and Homebrew install it outside an ordinary user's PATH."""
    usual = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=os.pathsep.join(usual))


class EmbeddedBroker:
    """A mosquitto on 127.0.0.1:`port` that keeps sessions and messages in `directory`.

    It logs to `<directory>.log`. Call start() from the main thread.
    """

    def __init__(self, directory: Path, port: int = DEFAULT_PORT) -> None:
        self.directory = directory.resolve()
        self.host = _HOST
        self.port = port
        self.log = self.directory.with_name(f"{self.directory.name}.log")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, timeout: float = 30.0) -> None:
        """Start the broker, and wait until it accepts connections, at most `timeout` s; raises StartupError."""
        program = find_mosquitto()
        if program is None:
            raise StartupError(_MISSING)
        require_free(_HOST, self.port, _PORT_TAKEN)
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self.directory / "mosquitto.conf"
        config.write_text(self._config(), encoding="utf-8")
        self.process = spawn([program, "-c", config], log=self.log)
        self._wait_until_ready(self.process, time.monotonic() + timeout)

    def stop(self) -> None:
        """Stop the broker; it saves its messages first."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the broker, as a crash would: messages that it has not saved are lost."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self.process is not None:
            stop(self.process, how, _STOP_TIMEOUT_SECONDS)
            self.process = None

    def _config(self) -> str:
        kept = CONFIG.read_text(encoding="utf-8").replace("/mosquitto/data/", f"{self.directory}/")
        text = f"listener {self.port} {_HOST}\nallow_anonymous true\n{kept}"
        # Started by root, mosquitto switches to the user `mosquitto`, which may not write into our directory.
        return text + "user root\n" if os.geteuid() == 0 else text

    def _wait_until_ready(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        while process.poll() is None:
            if accepts(_HOST, self.port):
                return
            if time.monotonic() > deadline:
                self.kill()
                raise StartupError(f"the embedded broker does not answer in time: see {self.log}")
            time.sleep(_POLL_SECONDS)
        self.process = None
        raise StartupError(f"the embedded broker did not start: {last_line(self.log)} (log: {self.log})")
