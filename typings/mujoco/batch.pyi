# MuJoCo's binding is compiled and ships no types; with this stub its names are of any type instead of unknown.
from typing import Any

def __getattr__(name: str) -> Any: ...
