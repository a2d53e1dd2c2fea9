"""How clearly the package names things: shares of vague names and of functions that start with a verb.

Counted over the syntax trees: an assigned name is every name that is bound (by assignment, loop,
``with``, comprehension or parameter); a function is every function or method that is neither a
property nor a special method nor hidden inside another function.

Examples:
  python tests/language.py
  python tests/language.py ../older_checkout/seaice
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "seaice"

# Words that do not say what they name: participles, adverbs, pronouns.
_VAGUE_WORDS = """
found made told known there said wanted place places given taken seen asked kept met done tried put
gone left meant chosen held named here now then so apart alike again how what where whose it one
ones other others both each them these those this that whole rest mine theirs own another stuff
thing things tmp temp foo data2 obj
"""
VAGUE = frozenset(_VAGUE_WORDS.split())

# First words of functions that do something. ``to_x``, ``as_x``, ``from_x`` convert, ``is_x`` asks.
_VERBS_WORDS = """
abandon accept accumulate activate add adjust admit adopt advance aggregate align allocate allow
animate annotate append apply arrange as ask assemble assert assign assume average backpropagate
balance begin bind bisect blend bracket build call cancel carry carve cast change check choose
classify clean clear clip clone close collect colour colourise combine commit compare compile
compress compute condition confirm connect continue contribute convert copy correct count cover
crash create cross cut damage deal decide decode decompress define deflate delete deliver derive
descend describe detect determine digest disambiguate discard discover distribute divide do download
drain draw dress drop embed empty encode end enlarge ensure enter erase estimate evaluate exchange
exclude expand expect explain export extend extract feed fetch fill filter find finish fit fix flag
flatten flip flush fold follow forget format formulate forward free freeze from gather generate get
give grant grid group guard guess halt handle has hash have hide hold identify ignore import include
increase index infer inflate initialise insert inspect interpolate interrupt invert is iterate join
judge jump keep knows label lay leave limit link list listen load locate lock log look lower make
mark mask match may measure mention merge minimise mix move multiply name needs normalise note
notice notify number observe offer omit open orient overlay overwrite pack pad paint parse partition
pass paste pause pick pickle place plan play plot pop pool populate predict preload prepare present
prevent print process project propose prove publish pull push put quantise query quit raise rank
read rebuild receive recognise reconstruct record recover reduce refine refresh refuse register
reject release reload remember remove rename repair repeat replace replay report request require
resample reset reshape resize resolve restore retry return reuse reverse rewrite rotate round run
sample save scale scan schedule score search see select send separate serve set shade share shift
show shrink shuffle shut shutdown sign simulate skip sleep smear smooth solve sort spend spill split
spoil spread start state step stop store stream stretch strip submit subset subtract suggest sum
summarise summarize supply suspend swap switch take taper tell terminate test thin tile time to
touch trace train transform translate trim try turn unfold unpack unpickle unshuffle update upload
use validate vary verify view visualize visualise wait walk warm warn weigh weight widen withdraw
work wrap write yield zip can are does
"""
VERBS = frozenset(_VERBS_WORDS.split())


def list_modules(folder: Path) -> list[ast.Module]:
    """Syntax trees of every module below a folder."""
    return [ast.parse(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.py"))]


def iterate_bound_names(tree: ast.Module) -> Iterator[str]:
    """Every name that a module binds, once for each place where it does."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg) and node.arg not in ("self", "cls"):
            yield node.arg


def iterate_functions(node: ast.AST) -> Iterator[ast.FunctionDef]:
    """Functions of modules and classes; properties, special and inner functions left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            special = child.name.startswith("__")
            if not special and not any("property" in ast.unparse(d) for d in child.decorator_list):
                yield child
        elif not isinstance(child, ast.Lambda):
            yield from iterate_functions(child)


def measure_vague_names(folder: Path) -> tuple[float, Counter[str]]:
    """Vague names among 1000 bound names, and how often each occurs."""
    names = [name.strip("_") for tree in list_modules(folder) for name in iterate_bound_names(tree)]
    vague = Counter(name for name in names if name in VAGUE)
    return 1000 * vague.total() / len(names), vague


def measure_verbs(folder: Path) -> tuple[float, list[str]]:
    """Percentage of functions that start with a verb, and the names of those that do not."""
    names = [f.name for tree in list_modules(folder) for f in iterate_functions(tree)]
    other = [name for name in names if name.lstrip("_").split("_")[0] not in VERBS]
    return 100 * (1 - len(other) / len(names)), other


if __name__ == "__main__":
    package = Path(sys.argv[1]) if sys.argv[1:] else PACKAGE
    per_thousand, vague_names = measure_vague_names(package)
    percent, without_verb = measure_verbs(package)
    print(f"vague names: {per_thousand:.1f} of 1000 bound names")
    print("  " + ", ".join(f"{name} {count}" for name, count in vague_names.most_common(40)))
    print(f"functions that start with a verb: {percent:.1f} %")
    print("  " + " ".join(sorted(without_verb)))
