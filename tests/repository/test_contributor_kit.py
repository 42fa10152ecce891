"""What contributors are told and given is what the project does."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
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


def test_every_helper_of_tests_is_explained() -> None:
    support = ROOT / "tests" / "support"
    explained = re.findall(r"`(\w+\.py)`", (support / "README.md").read_text(encoding="utf-8"))
    assert {path.name for path in support.glob("*.py")} - {"__init__.py"} - set(explained) == set()
