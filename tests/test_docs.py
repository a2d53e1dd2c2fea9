"""README and docs/: links lead somewhere, commands parse, Python blocks compile and import."""

from __future__ import annotations

import argparse
import ast
import functools
import re
import shlex
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import yaml

import seaice
from seaice.commands import list_stages

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(p for p in DOCS.rglob("*.md") if not {"_build", "generated"} & set(p.parts)),
    ]
)
# Programs of others; what follows them is not ours to check.
FOREIGN = {"pip", "git", "dask", "sbatch", "ls", "cd", "source", "python3"}


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and content of every fenced block; a notebook's cell is ``python`` or ``sh``."""
    text = page.read_text(encoding="utf-8")
    found = []
    for language, content in re.findall(r"^```(\S*)[^\n]*\n(.*?)^```$", text, re.M | re.S):
        if language == "{code-cell}":
            language = "python"
            content = re.sub(r"\A(:[^\n]*\n)+", "", content)
            if content.startswith("%%bash"):
                language, content = "sh", content.partition("\n")[2]
        found.append((language, content))
    return found


def commands(page: Path) -> list[list[str]]:
    """The words of every command in the shell blocks of a page."""
    lines = []
    for language, content in blocks(page):
        if language == "sh":
            lines += content.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def parser_of(stage: str) -> argparse.ArgumentParser:
    module = import_module(f"seaice.commands.{stage.replace('-', '_')}")
    parser: argparse.ArgumentParser = module.build_parser()
    return parser


def every_parser(stage: str) -> list[argparse.ArgumentParser]:
    """The parser of a stage and those of its commands."""
    parser = parser_of(stage)
    choices = [a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return [parser, *(sub for each in choices for sub in each.values())]


def check_command(words: list[str]) -> None:
    """Parse a command as the program it calls would; nothing is run."""
    program, *rest = words
    program = program.removeprefix(".venv/bin/")
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
        assert set(rest) <= set(targets)
        return
    if program == "python" and rest[0].endswith(".py"):
        script = ROOT / rest.pop(0)
        assert script.is_file()
        if script.parent != ROOT or script.stem.replace("_", "-") not in list_stages():
            text = script.read_text(encoding="utf-8")
            assert all(word in text for word in rest if word.startswith("--"))
            return
        stage = script.stem.replace("_", "-")
    elif program == "seaice":
        if rest in ([], ["--help"], ["--version"]):
            return
        stage = rest.pop(0)
        assert stage in list_stages(), f"no such stage: {stage}"
    else:
        if program == "pip":
            project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
            for named in re.findall(r"\[([a-z0-9,]+)\]", " ".join(rest)):
                assert set(named.split(",")) <= set(project["optional-dependencies"])
        assert program in FOREIGN or words[:3] in (
            ["python", "-m", "pytest"],
            [".venv/bin/python", "-m", "pytest"],
        )
        return
    try:
        parser_of(stage).parse_args(rest)
    except SystemExit as error:
        assert error.code == 0, f"wrong usage: {shlex.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_and_pictures_lead_somewhere(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        file = (page.parent / path) if path else page
        assert file.exists(), f"{page_id(page)}: {target} does not exist"
        if heading:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.M)
            slugs = {re.sub(r"[^\w -]", "", h).strip().lower().replace(" ", "-") for h in headings}
            assert heading in slugs, f"{page_id(page)}: {target} has no such heading"


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_pages_in_contents(page):
    """Every page stands in a table of contents, which the sidebar shows."""
    if page.parent == ROOT or page == DOCS / "index.md":
        return
    folder, name = (
        (page.parent, page.stem)
        if page.stem != "index"
        else (page.parent.parent, f"{page.parent.name}/index")
    )
    entries = {
        line.strip().rpartition("<")[2].rstrip(">")
        for language, content in blocks(folder / "index.md")
        if language == "{toctree}"
        for line in content.splitlines()
    }
    assert name in entries


WITH_COMMANDS = [page for page in PAGES if any(language == "sh" for language, _ in blocks(page))]


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=page_id)
def test_commands_parse(page, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # A file of options that a page shows is there for its commands.
    names = re.findall(r"--config (\S+\.toml)", page.read_text(encoding="utf-8"))
    for _, content in [block for block in blocks(page) if block[0] == "toml" and names]:
        Path(names[0]).write_text(content)
    found = commands(page)
    assert found
    for words in found:
        check_command(words)


def test_commands_are_many():
    """The blocks are found at all, and most of the commands are ours."""
    found = [words for page in WITH_COMMANDS for words in commands(page)]
    assert len([words for words in found if words[0] in ("seaice", "python")]) > 60


def test_wrong_commands_are_noticed(capsys):
    for line in (
        "seaice consolidate --output_file cube.nc",
        "seaice cache-cube --cube_file cube.nc --output_dir cache --dtype float64",
        "python cache_cube.py --cube_file cube.nc",
        "python no_such_script.py",
        "make nothing",
        "unknown-program --help",
    ):
        with pytest.raises(AssertionError):
            check_command(shlex.split(line))


@pytest.mark.slow
@pytest.mark.parametrize("stage", list_stages())
def test_every_stage_has_a_page(stage):
    page = DOCS / "stages" / f"{stage}.md"
    text = page.read_text(encoding="utf-8")
    assert any(words[:2] == ["seaice", stage] for words in commands(page))
    assert "## What goes wrong" in text
    # Options named in the text are options of the stage.
    options = {word for parser in every_parser(stage) for word in parser._option_string_actions}
    linked = {
        word
        for other in re.findall(r"\]\(([a-z0-9-]+)\.md\)", text)
        if other in list_stages()
        for parser in every_parser(other)
        for word in parser._option_string_actions
    }
    text = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    for code in re.findall(r"`([^`]+)`", text):
        if not code.startswith(("pip", "torchrun")):
            assert set(re.findall(r"--[a-z0-9_]+", code)) <= options | linked, code
    shown = {
        " ".join(argument.split()[1:])
        for argument in re.findall(
            r"^```\{stage-options\} (.+)$", page.read_text(encoding="utf-8"), re.M
        )
    }
    subcommands = {parser.prog.split()[-1] for parser in every_parser(stage)[1:]}
    assert shown == (subcommands or {""})


@functools.cache
def read_messages() -> list[str]:
    """Every text in the package, with «...» for what is put into it."""
    texts = []
    for path in (ROOT / "seaice").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [str(p.value) if isinstance(p, ast.Constant) else "..." for p in node.values]
                texts.append("".join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return [" ".join(text.split()) for text in texts]


@pytest.mark.slow
def test_messages_on_the_pages_are_those_of_the_package():
    """A message in the first column of a table «What goes wrong» is one that a stage can give."""
    count, unknown = 0, []
    for page in [*(DOCS / "stages").glob("*.md"), DOCS / "clusters.md"]:
        section = (
            page.read_text(encoding="utf-8").partition("## What goes wrong\n")[2].partition("\n## ")[0]
        )
        for line in re.findall(r"^\| (.+?) \|", section, re.M):
            for code in re.findall(r"`([^`]+)`", line):
                if code.startswith("--") or code in list_stages() or " " not in code:
                    continue
                count += 1
                if not any(code in message for message in read_messages()):
                    unknown.append(f"{page.name}: {code}")
    assert unknown == []
    assert count > 30


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_python_blocks_compile_and_import(page):
    for language, content in blocks(page):
        if language != "python":
            continue
        for node in ast.walk(ast.parse(content)):
            if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in (
                "seaice",
                "utils",
            ):
                module = import_module(str(node.module))
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{node.module} has no {alias.name}"
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name.split(".")[0] == "seaice":
                        import_module(alias.name)


def test_diffs_are_those_of_the_files():
    """Added and context lines of CONTRIBUTING.md stand in the files that they name."""
    count = 0
    for language, content in blocks(ROOT / "CONTRIBUTING.md"):
        if language != "diff":
            continue
        lines: set[str] = set()
        for line in content.splitlines():
            if line.startswith("+++ "):
                lines = set((ROOT / line[4:]).read_text(encoding="utf-8").splitlines())
            else:
                count += 1
                assert line[1:] in lines, line
    assert count > 20


def test_glossary_has_one_entry_a_word():
    terms = [
        term
        for language, content in blocks(DOCS / "glossary.md")
        if language == "{glossary}"
        for line in re.findall(r"^(\S.*)$", content, re.M)
        for term in line.split(", ")
    ]
    assert len(terms) == len(set(terms)) > 40


def test_architecture_names_every_room():
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rooms = [p.parent.name for p in (ROOT / "seaice").glob("*/__init__.py")]
    assert len(rooms) > 15
    assert [room for room in rooms if f" {room}/" not in text] == []
    for name in re.findall(r"`((?:seaice/)?[a-z_0-9/]+\.py)`", text):
        paths = [ROOT / name, ROOT / "seaice" / name]
        assert any(path.is_file() for path in paths), f"{name} does not exist"


def test_api_pages_hold_every_module():
    """The list of the API page has every module and room at the top of the package, and every name."""
    text = (DOCS / "api" / "index.md").read_text(encoding="utf-8")
    tops = [p.stem for p in (ROOT / "seaice").glob("[!_]*.py")]
    tops += [p.parent.name for p in (ROOT / "seaice").glob("*/__init__.py")]
    assert sorted(re.findall(r"^   seaice\.(\w+)$", text, re.M)) == sorted(tops)
    assert re.findall(r"^    (\w+),  #", text, re.M) == sorted(seaice.__all__)


def test_citation_names_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == seaice.__version__
