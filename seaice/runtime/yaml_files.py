"""YAML files of somebody else, read without what makes a small file a huge object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_LONGEST_FILE = 1 << 22  # bytes


def load_yaml(path: Path) -> Any:
    """Load a YAML file: plain values, lists and mappings, and aliases of single values only.

    Parameters
    ----------
    path : Path

    Returns
    -------
    object
        None for an empty file.

    Raises
    ------
    ValueError
        If it is too large, nested too deeply, or has aliases of lists and mappings, whose copies may
        be of any number.
    yaml.YAMLError
        If it is no YAML.
    OSError
        If it cannot be read.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """Takes no aliases but those of single values, whose copies cost nothing."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            is_alias = self.check_event(yaml.AliasEvent)  # type: ignore[no-untyped-call]
            node = super().compose_node(parent, index)
            if is_alias and not isinstance(node, yaml.ScalarNode):
                raise ValueError("aliases of lists and mappings are not taken")
            return node

    if path.stat().st_size > _LONGEST_FILE:
        raise ValueError(f"the file has more than {_LONGEST_FILE} bytes")
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
