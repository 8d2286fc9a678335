import pathlib
import sys

# The tests are imported by path, so modules that they share must be found by name.
for folder in ("fuzz", "learning", "demonstrations", "cli", "viewing"):
    sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / folder))
