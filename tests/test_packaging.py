"""What the package declares, and what is in its wheel."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import seaice
from seaice import settings

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
# Imports whose package on the index has another name.
NAMES = {
    "pystac_client": "pystac-client",
    "PIL": "pillow",
    "google_crc32c": "google-crc32c",
    "netCDF4": "netcdf4",
    "segmentation_models_pytorch": "segmentation-models-pytorch",
    "shapefile": "pyshp",
    "yaml": "pyyaml",
}


def packages(requirements) -> set[str]:
    return {re.match(r"[\w-]+", text)[0].lower() for text in requirements}


def imported_packages(path: Path) -> set[str]:
    """Packages that a module imports anywhere, those for type checkers too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    tops = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)
    return {NAMES.get(top, top).lower() for top in tops}


@pytest.mark.slow
def test_every_import_is_declared():
    optional = {NAMES.get(name, name).lower(): extra for name, extra in settings._EXTRAS.items()}
    imported = set().union(*map(imported_packages, (ROOT / "seaice").rglob("*.py"))) - {"seaice"}
    needed = packages(PROJECT["dependencies"])
    by_name = {"timm", "segmentation-models-pytorch"}  # imported when a model of theirs is asked for
    assert imported | by_name == needed | optional.keys()
    assert {NAMES.get(name, name).lower() for name in settings.REQUIRED} == needed
    for package, extra in optional.items():
        assert package in packages(EXTRAS[extra]), f"{extra} does not install {package}"
        assert package not in needed
    whole = re.search(r"\[(.*)\]", *EXTRAS["all"])[1].split(",")
    assert set(whole) == EXTRAS.keys() - {"all", "browser-tests", "dev", "docs", "terramind"}


def test_ranges_in_the_package_and_versions_in_the_lock():
    declared = PROJECT["dependencies"] + [line for extra in EXTRAS.values() for line in extra]
    assert not [line for line in declared if "==" in line]
    assert not [line for line in PROJECT["dependencies"] if ">=" not in line], "no lower bound"
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    lock = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert "torch" in lock and not [number for number in lock.values() if "+" in number]
    locked = {name.lower().replace("_", "-") for name in lock}
    wanted = packages(PROJECT["dependencies"] + EXTRAS["dev"] + EXTRAS["docs"]) - {"seaice-toolbox"}
    assert wanted <= locked


def test_a_script_without_its_packages_says_in_one_line_what_to_type():
    words = [sys.executable, "-S", "download.py", "--help"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
    assert re.match(
        r"error: contourpy, google_crc32c, h5py and \d+ more not installed for ", done.stderr
    )
    assert re.search(r"; type: (source .*activate|python -m pip install .*)\n$", done.stderr)


def test_a_machine_that_cannot_run_it_is_told_so(monkeypatch, tmp_path):
    assert settings.explain_installation() == ""
    monkeypatch.setattr(settings, "REQUIRED", ("numpy", "no_such_package"))
    monkeypatch.setattr(settings, "__file__", str(tmp_path / "seaice" / "settings.py"))
    assert settings.explain_installation() == (
        f"no_such_package not installed for {sys.executable}; type: python -m pip install ."
    )
    monkeypatch.setattr(settings.os, "name", "nt")
    assert settings.explain_installation().startswith("Linux or macOS is needed; on Windows")
    monkeypatch.setattr(settings.sys, "version_info", (3, 10, 1))
    assert settings.explain_installation().startswith("Python 3.11 or newer is needed, found ")


@pytest.mark.slow
def test_wheel(tmp_path):
    if int(version("setuptools").partition(".")[0]) < 77:
        pytest.skip("setuptools is too old to build the package")
    source, built = tmp_path / "source", tmp_path / "built"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "seaice", source / "seaice", ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE", "utils.py", "config.py"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", str(built), str(source)], check=True, cwd=tmp_path)
    (wheel,) = built.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = f"seaice_toolbox-{seaice.__version__}.dist-info"
        metadata = archive.read(f"{info}/METADATA").decode()
        assert b"seaice = seaice.commands:main" in archive.read(f"{info}/entry_points.txt")
    assert {name.partition("/")[0] for name in names} == {"seaice", info}
    package = {path.relative_to(source).as_posix() for path in (source / "seaice").rglob("*.*")}
    assert package <= names, package - names
    assert {"seaice/py.typed", "seaice/gapfill/expected_error.json"} <= names
    assert not re.search(r"^Requires-Dist: .*==\d", metadata, re.M)
