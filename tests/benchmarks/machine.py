"""What a benchmark ran on."""

import platform
from pathlib import Path

import psutil


def machine() -> str:
    """Cores, processor, memory and Python of this machine, in one line."""
    model = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [
            line.split(":")[1].strip()
            for line in info.read_text().splitlines()
            if line.startswith("model name")
        ]
        model = names[0] if names else model
    gib = psutil.virtual_memory().total / 2**30
    return f"{psutil.cpu_count()} cores {model}, {gib:.0f} GiB, Python {platform.python_version()}"
