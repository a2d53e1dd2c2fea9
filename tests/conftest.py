"""Fixtures shared by the tests."""

import os
import signal
from pathlib import Path

import pytest

# Before torch is imported: two processes of tests share the processors.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A job in the background of a script is started deaf to it, and so would be all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser):
    parser.addoption("--thorough", action="store_true", help="the tests marked thorough too")


def pytest_collection_modifyitems(config, items):
    """Leave out what costs many seconds and repeats another test under other conditions."""
    if config.getoption("--thorough"):
        return
    left_out = [item for item in items if "thorough" in item.keywords]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if "thorough" not in item.keywords]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real data; the test is skipped where it is not given."""
    folder = os.environ.get("SEAICE_REAL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("SEAICE_REAL_DATA does not name a folder of real data")
    return Path(folder)


@pytest.fixture(scope="module")
def one_thread():
    """Torch on one thread: small networks gain nothing from more."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
