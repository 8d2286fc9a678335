"""Writes the policies that ship again in the present format, with a checksum and the same arrays.

Usage: python docs/sign_policies.py
"""

from __future__ import annotations

import numpy as np

from handful.learning.persistence.policy_file import load_policy, save_policy
from handful.runs.folder import POLICY_FILE
from handful.runs.policies import SHIPPED


def main() -> None:
    """Sign every policy, and check that nothing else of it has changed."""
    for path in sorted(SHIPPED.rglob(POLICY_FILE)):
        policy, manifest = load_policy(path)
        save_policy(path, policy, manifest)
        again, same = load_policy(path)
        before, after = policy.state_dict(), again.state_dict()
        assert same == manifest and before.keys() == after.keys()
        assert all(np.array_equal(before[name].numpy(), after[name].numpy()) for name in before)
        print(path)


if __name__ == "__main__":
    main()
