import pathlib
import sys

# The tests are imported by path, so a module that they share must be found by name.
sys.path.insert(0, str(pathlib.Path(__file__).parent))
