"""The rules of the house, held over the syntax trees."""

import ast
import importlib
import inspect
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import seaice
from seaice import cli
from seaice.commands import list_stages

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = sorted((ROOT / "seaice").rglob("*.py"))
COMMANDS = sorted((ROOT / "seaice" / "commands").glob("[!_]*.py"))
SCRIPTS = sorted(p for p in ROOT.glob("*.py") if p.name not in ("config.py", "utils.py", "demo.py"))
HEAVY = ("torch", "numba", "matplotlib", "cartopy", "dask")
# Imported only inside the functions that need them, so that --help stays quick.
LAZY = (
    *HEAVY,
    "netCDF4",
    "h5py",
    "isal",
    "xarray",
    "scipy",
    "pyproj",
    "requests",
    "yaml",
    "pandas",
    "PIL",
    "rasterio",
    "tqdm",
    "zarr",
    "earthaccess",
    "gportal",
    "h5coro",
    "paramiko",
    "pyarrow",
    "numcodecs",
    "google_crc32c",
    "distributed",
    "terratorch",
    "timm",
    "segmentation_models_pytorch",
    "accelerate",
    "torchmetrics",
    "huggingface_hub",
)
# The modules whose noun is the library itself.
MAY_IMPORT_AT_TOP = {
    "dataset.py": {"torch"},
    "cube_dataset.py": {"torch"},
    "window_dataset.py": {"torch"},
    "patch_dataset.py": {"torch"},
    "trainer.py": {"torch"},
    "half.py": {"torch"},
    "networks": {"torch"},
    "_kernels.py": {"numba"},
}


def kind_of(path: Path) -> str:
    """By which entry of MAY_IMPORT_AT_TOP a module goes."""
    if path.name.endswith("_kernels.py"):
        return "_kernels.py"
    if path.parent.name == "networks" and path.name != "__init__.py":
        return "networks"
    return path.name


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(nodes) -> set[str]:
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or ".")
    return names


def at_import(tree: ast.Module):
    """Statements that run at import (functions left out, type-checking blocks too)."""
    stack = list(tree.body)
    while stack:
        node = stack.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        stack.extend(ast.iter_child_nodes(node))


@pytest.mark.slow
@pytest.mark.parametrize("path", PACKAGE, ids=lambda p: str(p.relative_to(ROOT)))
def test_package_module_keeps_the_rules(path):
    tree = tree_of(path)
    everywhere = imported(ast.walk(tree))
    tops = {name.split(".")[0] for name in everywhere}
    assert not tops & {"config", "utils", *(s.stem for s in SCRIPTS if s.stem != "ice_index")}
    assert "." not in everywhere, "relative imports hide where a name comes from"
    if path.name not in ("cli.py", "__main__.py") and path.parent.name != "commands":
        assert "argparse" not in tops
        calls = [ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)]
        assert not {"print", "exit", "quit", "sys.exit", "os._exit"} & set(calls)
    allowed = MAY_IMPORT_AT_TOP.get(kind_of(path), set())
    now = {name.split(".")[0] for name in imported(at_import(tree))}
    assert not (now & set(LAZY)) - allowed


@pytest.mark.slow
@pytest.mark.parametrize("path", PACKAGE + SCRIPTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_happens_at_import(path):
    for node in at_import(tree_of(path)):
        if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
            continue
        text = ast.unparse(node) if isinstance(node, ast.Expr) else ""
        if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
            inside_guard = text in ("sys.exit(main())", "raise SystemExit(main())")
            is_gate = path.parent.name == "commands" and text == "check_installation()"
            assert inside_guard or is_gate, f"line {node.lineno} runs at import: {text}"


@pytest.mark.slow
@pytest.mark.parametrize("path", PACKAGE, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_module_without_a_noun(path):
    assert path.stem not in ("helpers", "common", "misc", "utils", "tools")


def test_every_stage_is_a_command_and_a_script():
    assert [path.name for path in COMMANDS] == [path.name for path in SCRIPTS]
    assert list(list_stages()) == [path.stem.replace("_", "-") for path in SCRIPTS]
    assert all(list_stages().values())


@pytest.mark.parametrize("path", COMMANDS, ids=lambda p: p.name)
def test_command_has_only_parser_and_main(path):
    tree = tree_of(path)
    names = [n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    assert names == ["build_parser", "main"]
    assert ast.get_docstring(tree).count(f"python {path.name} ") >= 2, "two real commands"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
def test_script_is_a_docstring_and_the_main_of_its_stage(path):
    doc = ast.get_docstring(tree_of(path))
    assert doc.count(f"python {path.name} ") >= 2, "two real commands"
    assert (
        doc.partition("\n")[0]
        == importlib.import_module(f"seaice.commands.{path.stem}").__doc__.partition("\n")[0]
    )
    code = path.read_text().rpartition('"""\n')[2]
    assert code == (
        f"\nimport sys\n\nfrom seaice.commands.{path.stem} import main\n\n"
        'if __name__ == "__main__":\n    sys.exit(main())\n'
    )


def stages_of(module):
    """Pairs of a parser and the function that a script hands to cli.run, and keywords given there."""
    parser = module.build_parser()
    for node in ast.walk(ast.parse(inspect.getsource(module.main))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "cli.run":
            fixed = {k.arg for k in node.keywords}
            stage = getattr(module, ast.unparse(node.args[1]))
            if not isinstance(stage, dict):
                return [(parser, stage)], fixed
            (commands,) = (a.choices for a in parser._actions if a.dest == "command")
            assert set(commands) == set(stage)
            return [(commands[name], function) for name, (function, _) in stage.items()], fixed
    raise AssertionError("main() does not call cli.run")


@pytest.mark.parametrize("path", COMMANDS, ids=lambda p: p.name)
def test_options_are_the_parameters_of_the_stage(path):
    module = importlib.import_module(f"seaice.commands.{path.stem}")
    stages, fixed = stages_of(module)
    for parser, stage in stages:
        parameters = inspect.signature(stage).parameters
        assert all(p.kind == inspect.Parameter.KEYWORD_ONLY for p in parameters.values())
        dests = {a.dest for a in parser._actions if a.dest not in cli._NO_STAGE}
        # Parameters of filling methods reach the stage within its parameter "method".
        of_methods = set(parser.get_default("method_parameters") or ())
        assert of_methods <= dests and not of_methods & set(parameters)
        assert dests - of_methods == set(parameters) - fixed
        for action in parser._actions:
            assert action.type is not bool, f"{action.dest}: type=bool makes «False» true"
            assert action.help, f"{action.dest} has no help"


# One process for all stages: a library that one of them loads is in memory for those after it.
PRINT_ALL_HELP = """
import contextlib, io, json, runpy, sys
for name, words in json.loads(sys.argv[1]).items():
    sys.argv, said = words, io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            run = runpy.run_path if words[0].endswith(".py") else runpy.run_module
            run(words[0], run_name="__main__")
    except SystemExit as stop:
        assert stop.code == 0, stop.code
    print(json.dumps([name, said.getvalue(), sorted(set(HEAVY) & set(sys.modules))]))
""".replace("HEAVY", repr(HEAVY))


@pytest.fixture(scope="module", params=["script", "command"])
def helps(request, tmp_path_factory):
    """Which form of a command is asked, and by script its help and the heavy libraries in memory."""
    words = {
        path.name: {
            "script": [str(path), "--help"],
            "command": ["seaice", path.stem.replace("_", "-"), "--help"],
        }[request.param]
        for path in SCRIPTS
    }
    folder = tmp_path_factory.mktemp("help")
    done = subprocess.run(
        [sys.executable, "-c", PRINT_ALL_HELP, json.dumps(words)],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert list(folder.iterdir()) == [], "--help made a file"
    answers = map(json.loads, done.stdout.splitlines())
    return request.param, {name: (said, heavy) for name, said, heavy in answers}


@pytest.mark.slow
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.name)
def test_help_is_light(path, helps):
    form, answers = helps
    said, heavy = answers[path.name]
    assert heavy == []
    own, strange = f"python {path.name} ", f"seaice {path.stem.replace('_', '-')} "
    if form == "command":
        own, strange = strange, own
    assert own in said and said.startswith(f"usage: {own.removeprefix('python ')}")
    assert strange not in said
    assert form == "script" or ".py " not in said.replace("torchrun", "")


# Loads the libraries first: what they do at import is theirs.
IMPORT_ALL = """
import importlib, sys
import numpy, numba, torch, netCDF4, scipy.ndimage
import torch.utils.data
done = []
def watch(event, arguments):
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if writes or event.split(".")[0] in ("socket", "subprocess") or event in (
        "os.mkdir", "os.putenv", "os.unsetenv", "os.remove", "os.rename", "os.chdir", "os.system"
    ):
        done.append((event, arguments))
sys.addaudithook(watch)
sys.dont_write_bytecode = True
for name in sys.argv[1:]:
    importlib.import_module(name)
assert not done, done
"""


@pytest.mark.slow
def test_importing_everything_touches_nothing(tmp_path):
    """No folder, file, environment variable, network or process at import."""
    # _kernels is left out: numba looks for a place for its cache when it compiles a function.
    modules = [
        ".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for p in PACKAGE
        if not p.name.endswith("_kernels.py")
    ]
    names = [*modules, "utils", "config", *(s.stem for s in SCRIPTS)]
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *names],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_front_door_and_type_checkers_know_the_same_names():
    (block,) = (n for n in tree_of(ROOT / "seaice/__init__.py").body if isinstance(n, ast.If))
    homes = {alias.asname: node.module for node in block.body for alias in node.names}
    assert homes == seaice._HOMES
    assert seaice.read_mask.__module__ == "seaice.masks"
    assert "read_mask" in dir(seaice)
    with pytest.raises(AttributeError, match="module 'seaice' has no attribute 'nothing'"):
        seaice.nothing  # noqa: B018


def test_absent_package_of_the_front_door_is_named_with_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "seaice.training.dataset", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r'needs torch: pip install "seaice-toolbox\[train\]"'):
        seaice.load_ocean_mask  # noqa: B018


@pytest.mark.slow
def test_rooms_use_rooms_below_them_without_circles(monkeypatch):
    monkeypatch.chdir(ROOT)
    # A process of its own: the linter puts folders on the path and sets up logging.
    code = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ignore_imports" not in (ROOT / "pyproject.toml").read_text()


def test_no_folder_holds_too_much():
    counts = Counter(path.parent.relative_to(ROOT).as_posix() for path in PACKAGE)
    del counts["seaice/commands"]  # one module for every stage
    assert counts.pop("seaice") <= 14
    assert max(counts.values()) <= 15, counts.most_common(1)
