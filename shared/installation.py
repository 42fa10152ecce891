"""The installed version, where its data files are, and whether another project's packages are mixed in."""

import importlib.metadata
import importlib.util
from pathlib import Path

from shared.errors import StartupError

_DISTRIBUTION = "ecs-backend"
# Other projects use these names too, and pip overwrites one project's files with another's without a warning.
_PACKAGES = ("api", "fixtures", "ingest", "shared")
_HERE = Path(__file__).resolve().parent


def version() -> str:
    """The version in pyproject.toml, as it was installed."""
    return importlib.metadata.version(_DISTRIBUTION)


def data(folder: str) -> Path:
    """The directory of `migrations` or `docs`: in a wheel within this package, in a checkout beside it."""
    within = _HERE / folder
    return within if within.is_dir() else _HERE.parent / folder


def require_unmixed() -> None:
    """Raise StartupError if another project shadows or installed a package that is named as one of this project's."""
    owners = importlib.metadata.packages_distributions()
    for name in _PACKAGES:
        others = set(owners.get(name, ())) - {_DISTRIBUTION}
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve().parent if spec and spec.origin else None
        if others or found != _HERE.parent / name:
            raise StartupError(
                f"the package {name!r} is also {' and '.join(sorted(others)) or found}: "
                "install ecs-backend into a virtual environment of its own, and leave PYTHONPATH unset"
            )
