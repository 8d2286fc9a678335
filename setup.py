"""Puts the policies that ship, which lie beside the package in the repository, into the package when it is built."""

import pathlib

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithPolicies(build_py):
    """Copies policies/TASK/policy.safetensors to handful/policies/TASK."""

    def run(self) -> None:
        """Copy the modules, then the policies."""
        super().run()
        if self.editable_mode:  # the package is used where it lies
            return
        for source in sorted(pathlib.Path("policies").glob("*/policy.safetensors")):
            target = pathlib.Path(self.build_lib, "handful", source)
            self.mkpath(str(target.parent))
            self.copy_file(str(source), str(target))


setup(cmdclass={"build_py": BuildWithPolicies})
