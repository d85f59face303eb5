"""Look for readers that fail on hostile files, led by the code that each file reaches.

    pip install atheris
    PYTHONPATH=. python tests/fuzz/guided.py config --seconds 300

Targets are those of tests/fuzz/targets.py. What is found is told once per place, with its file kept
under --found, and the search goes on; nothing that is found is committed as it is: a test says the
kind. CI runs the seeded cases of test_fuzz.py instead.
"""

import argparse
import random
import sys
import traceback
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

from harness.core.errors import HarnessError
from tests.fuzz.targets import TARGETS, Target
from tests.fuzz.watching import watched


class Search:
    """One target's search."""

    def __init__(self, target: Target, found: Path) -> None:
        """Begin without a finding."""
        self.target, self.found = target, found
        self.places: set[str] = set()

    def try_one(self, content: bytes) -> None:
        """Read one file; tell what no reader may do."""
        with TemporaryDirectory() as name, watched(Path(name)) as done:
            try:
                self.target.read(content, Path(name))
            except HarnessError:
                pass
            except Exception as error:
                last = traceback.extract_tb(error.__traceback__)[-1]
                self.tell(f"{type(error).__name__} at {last.filename}:{last.lineno}", content)
                return
        if done:
            self.tell(f"left its folder: {done[0]}", content)

    def tell(self, what: str, content: bytes) -> None:
        """Print a finding the first time, and keep its file."""
        if what in self.places:
            return
        self.places.add(what)
        self.found.mkdir(parents=True, exist_ok=True)
        kept = self.found / f"{self.target.name}-{sha256(content).hexdigest()[:12]}"
        kept.write_bytes(content)
        sys.stderr.write(f"FOUND {what}: {kept}\n")
        traceback.print_exc()

    def mutate(self, content: bytes, most: int, seed: int) -> bytes:
        """Half of the time a change that knows the format, else one of the engine's."""
        chance = random.Random(seed)
        if content and chance.random() < 0.5:
            changed: bytes = chance.choice(self.target.mutations)(content, chance)
        else:
            changed = bytes(atheris.Mutate(content, most))
        return changed[:most] or b"\0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", choices=[target.name for target in TARGETS])
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--found", type=Path, default=Path("found"))
    asked = parser.parse_args()
    asked.found.mkdir(parents=True, exist_ok=True)
    target = next(one for one in TARGETS if one.name == asked.target)
    search = Search(target, asked.found)
    with TemporaryDirectory() as corpus:
        with atheris.instrument_imports(include=["harness"]):
            for number, seed in enumerate(target.seeds()):
                (Path(corpus) / str(number)).write_bytes(seed)
                search.try_one(seed)  # what it imports is followed from here on
        flags = [f"-max_total_time={asked.seconds}", "-max_len=200000", "-timeout=20"]
        flags += ["-rss_limit_mb=2048", f"-artifact_prefix={asked.found}/", "-print_final_stats=1"]
        words = [sys.argv[0], corpus, *flags]
        atheris.Setup(words, search.try_one, custom_mutator=search.mutate)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
