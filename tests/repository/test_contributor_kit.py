"""What contributors are told and given is what the project does."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
# What several modules of a package do together.
OF_SEVERAL = {
    "api/test_any_request.py",
    "api/telemetry/test_etag.py",
    "api/telemetry/test_integral.py",
    "api/telemetry/test_plans.py",
    "api/telemetry/test_rollups.py",
    "api/web/test_http.py",
    "ingest/upkeep/test_counting.py",
}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def tools(text: str) -> set[str]:
    return set(re.findall(r"(?:\.venv/bin|\$\(BIN\))/(ruff \w+|mypy|lint-imports)", text))


def test_pre_commit_runs_what_make_check_runs() -> None:
    (check,) = re.findall(r"^check:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert repository["repo"] == "local"
    assert tools("\n".join(hook["entry"] for hook in repository["hooks"])) == tools(check) != set()


def test_every_target_that_the_docs_name_exists() -> None:
    targets = set(re.findall(r"^([a-z][a-z -]*):", MAKEFILE, re.MULTILINE))
    known = {name for names in targets for name in names.split()}
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    named = {
        name
        for page in pages
        for name in re.findall(r"(?:`|^    )make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert named - known == set()


def test_every_target_says_what_it_is_for() -> None:
    phony = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)[0].split()
    explained = {
        name for line in re.findall(r"^([a-z][a-z -]*):.*##", MAKEFILE, re.MULTILINE) for name in line.split()
    }
    assert set(phony) - explained == set()


def test_names_of_tests_are_short() -> None:
    names = {
        name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    assert sorted(name for name in names if len(name) > 60) == []


def _names_what_it_tests(test: str) -> bool:
    """test_sql.py and test_sql_blocks.py are of sql.py; test_main.py of __main__.py; web/test_web.py of all in web."""
    package, name = ROOT / Path(test).parent, Path(test).stem.removeprefix("test_")
    modules = {path.stem.strip("_") for path in package.iterdir() if path.suffix == ".py" or path.is_dir()}
    return name == package.name or any(
        name == each or name.startswith(f"{each}_") for each in modules - {"init"}
    )


def test_tests_lie_beside_what_they_test() -> None:
    tests = ROOT / "tests"
    found = {
        str(path.relative_to(tests))
        for package in ("api", "ingest", "shared")
        for path in (tests / package).rglob("test_*.py")
    }
    assert sorted(test for test in found - OF_SEVERAL if not _names_what_it_tests(test)) == []
    assert OF_SEVERAL - found == set()


def test_every_helper_of_tests_is_explained() -> None:
    support = ROOT / "tests" / "support"
    explained = re.findall(r"`(\w+\.py)`", (support / "README.md").read_text(encoding="utf-8"))
    assert {path.name for path in support.glob("*.py")} - {"__init__.py"} - set(explained) == set()
