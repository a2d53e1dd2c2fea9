"""The cache of compiled loops is a convenience: without it, or with a damaged one, loops still run."""

from __future__ import annotations

import errno
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numba
import numpy as np
import pytest

from seaice.runtime import compiled_kernels

SOURCE = """
from numba import float64, types
from seaice.runtime.compiled_kernels import compile_loop

@compile_loop
def add_up(values):
    total = 0.0
    for value in values:
        total += value
    return total

@compile_loop(signatures=[types.float64(float64, float64)], error_model="numpy")
def divide(one, two):
    return one / two
"""
VALUES = np.arange(5.0)


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(compiled_kernels, "_warned", [])
    path = tmp_path / "loops.py"
    path.write_text(SOURCE)
    return path


def load(source: Path) -> ModuleType:
    """Import the module anew, as another process would."""
    spec = importlib.util.spec_from_file_location("loops", source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.add_up(VALUES) == 10
    assert module.divide(1.0, 0.0) == np.inf
    return module


def test_compiled_code_is_kept(source, caplog):
    load(source)
    module = load(source)
    assert sum(module.add_up.stats.cache_hits.values()) == 1
    assert not caplog.records


def test_code_of_other_modules_that_changed_is_compiled_again(tmp_path):
    """A function and a constant of another module, that in turn has them of a third."""
    compiled = "from seaice.runtime.compiled_kernels import compile_loop\n"
    package = tmp_path / "loops"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "outer.py").write_text(
        f"{compiled}from loops.middle import double\n"
        "@compile_loop\ndef run(x):\n    return double(x)\nprint(run(1))\n"
    )
    (package / "middle.py").write_text(
        f"{compiled}from loops.inner import FACTOR\n"
        "@compile_loop\ndef double(x):\n    return FACTOR * x\n"
    )
    environment = os.environ | {
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
    }
    for factor in (2, 30):
        (package / "inner.py").write_text(f"FACTOR = {factor}\n")
        command = [sys.executable, "-c", "import loops.outer"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == f"{factor}\n"


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", ["empty", "cut", "flipped"])
def test_a_damaged_cache_is_passed_over(source, tmp_path, caplog, ending, damage):
    load(source)
    files = sorted((tmp_path / "cache").rglob(f"*.{ending}"))
    assert files
    for path in files:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes({"empty": b"", "cut": content[: len(content) // 2]}.get(damage, bytes(content)))
    load(source)
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 1
    assert str(tmp_path / "cache") in warnings[0]
    assert "NUMBA_CACHE_DIR" in warnings[0]


def test_no_folder_to_write_to(source, monkeypatch, caplog):
    monkeypatch.setattr(compiled_kernels.FunctionCache._impl_class, "_locator_classes", [])
    load(source)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "cannot cache function" in warning
    assert str(source.parent) in warning


def test_a_full_disk(source, monkeypatch, caplog):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(compiled_kernels.IndexDataCacheFile, "_open_for_write", refuse)
    load(source)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "No space left on device" in warning
