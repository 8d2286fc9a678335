from __future__ import annotations

import pathlib
import re
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

from handful.runs.policies import SHIPPED


def test_the_policies_that_ship_are_part_of_the_package_that_is_built(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    root = pathlib.Path(__file__).parents[1]
    words = ["setup.py", "-q", "egg_info", "--egg-base", tmp_path, "build_py", "--build-lib", tmp_path / "built"]
    subprocess.run([sys.executable, *map(str, words)], cwd=root, check=True, capture_output=True)
    built = {path.relative_to(tmp_path / "built" / "handful") for path in (tmp_path / "built").rglob("*.safetensors")}
    shipped = {pathlib.Path("policies") / path.relative_to(SHIPPED) for path in SHIPPED.glob("*/policy.safetensors")}
    assert built == shipped and pathlib.Path("policies/block-lifting/policy.safetensors") in built


ROOT = pathlib.Path(__file__).parents[1]


def _pins(name: str) -> dict[str, str]:
    """Versions by normalised names in a file of requirements."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", (ROOT / name).read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", package).lower(): version for package, version in found}


def test_every_dependency_has_an_upper_bound():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [project["project"]["dependencies"], *project["project"]["optional-dependencies"].values()]
    for line in [*project["build-system"]["requires"], *(each for group in groups for each in group)]:
        requirement = Requirement(line)
        bounds = {specifier.operator for specifier in requirement.specifier}
        assert requirement.name == "handful" or bounds & {"<", "==", "<="}, line


def test_the_locked_files_are_those_of_the_constraints_with_hashes_and_no_address():
    constraints, locked, torch = _pins("constraints.txt"), _pins("locked.txt"), _pins("locked-torch.txt")
    locked |= _pins("locked-sources.txt")
    assert {name: version for name, version in {**locked, **torch}.items() if name in constraints} == constraints
    assert locked.keys() <= constraints.keys() and all(torch[name] == locked[name] for name in torch.keys() & locked)
    for name in ("locked.txt", "locked-torch.txt", "locked-sources.txt"):
        text = (ROOT / name).read_text()
        assert "://" not in text and "--index" not in text and "--find-links" not in text
        blocks = re.split(r"^(?=[A-Za-z0-9._-]+==)", text, flags=re.MULTILINE)[1:]
        assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", block) for block in blocks) and len(blocks) == len(
            _pins(name)
        )
