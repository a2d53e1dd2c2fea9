"""Startup file of the kernels that run the tutorials: ``%%bash`` prints its output as a whole.

IPython's own ``%%bash`` prints every 100 bytes as an output of its own. Log lines (standard
error) are left out; they are shown where a command fails.
"""

import subprocess

from IPython.core.magic import register_cell_magic


@register_cell_magic
def bash(line: str, cell: str) -> None:
    """Run a cell with bash; a command that fails ends it."""
    result = subprocess.run(["bash", "-e", "-c", cell], capture_output=True, text=True)
    print(result.stdout, end="")  # noqa: T201
    if result.returncode:
        raise RuntimeError(f"exit status {result.returncode}: {result.stderr}")
