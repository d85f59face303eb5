"""Fault: a model comes with code: a library of operators, a pickle, a module of Python.

What must remain true: none of it is run, because nothing here could run it.
"""

import ast
import re
from pathlib import Path

import harness

PACKAGE = Path(harness.__file__).parent
# What runs code that a file holds or names; of Python's own only where the call has no owner.
RUNNERS = {
    *(
        "register_custom_ops_library",
        "pickle",
        "cloudpickle",
        "dill",
        "joblib",
        "shelve",
        "marshal",
    ),
    *("trust_remote_code", "exec_module", "run_path", "allow_pickle", "import_from_path"),
}
BARE = {"exec", "eval"}
# What names one to refuse it: objects that a fleet's messages would make, see the module.
GUARDS = {"guard.py": {"pickle"}}
MAY = re.compile("|".join((*RUNNERS, r"\b(exec|eval)\(")))


def words_of(path: Path) -> set[str]:
    """Names that a file imports, calls, reads or passes."""
    found: set[str] = set()
    text = path.read_text(encoding="utf-8")
    if not MAY.search(text):  # most files: a tree of each would take seconds
        return found
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names) | ast.ImportFrom(names=names):
                found |= {one.name.split(".")[0] for one in names}
                found |= {(getattr(node, "module", None) or "").split(".")[0]}
            case ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                found.add(name)
            case ast.Call(func=ast.Name(id=name)) if name in BARE:
                found.add(name)
            case ast.Name(id=name) if name not in BARE:
                found.add(name)
    return found


def test_nothing_here_runs_code_of_a_model():
    guilty = {path.name: words_of(path) & (RUNNERS | BARE) for path in PACKAGE.rglob("*.py")}
    assert {name: found for name, found in guilty.items() if found} == GUARDS
