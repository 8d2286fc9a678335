from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

from handful.runs.policies import SHIPPED


def test_the_policies_that_ship_are_part_of_the_package_that_is_built(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    root = pathlib.Path(__file__).parents[1]
    words = ["setup.py", "-q", "egg_info", "--egg-base", tmp_path, "build_py", "--build-lib", tmp_path / "built"]
    subprocess.run([sys.executable, *map(str, words)], cwd=root, check=True, capture_output=True)
    built = {path.relative_to(tmp_path / "built" / "handful") for path in (tmp_path / "built").rglob("*.safetensors")}
    shipped = {pathlib.Path("policies") / path.relative_to(SHIPPED) for path in SHIPPED.glob("*/policy.safetensors")}
    assert built == shipped and pathlib.Path("policies/block-lifting/policy.safetensors") in built
