"""The documentation: its examples run, and every page is reached. `make docs` checks the links."""

from __future__ import annotations

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"


def test_every_page_is_in_the_table_of_contents():
    listed = set(re.findall(r"[\w/.-]+\.md", (ROOT / "mkdocs.yml").read_text()))
    pages = {str(path.relative_to(DOCS)) for path in (*DOCS.glob("*.md"), *DOCS.glob("decisions/*.md"))}
    assert listed == pages


@pytest.mark.long
@pytest.mark.parametrize("number", [1, 2])
def test_the_examples_of_a_policy_in_a_script_run_as_they_stand(number, capsys):
    examples = re.findall(r"```python\n(.*?)```", (DOCS / "policy-in-a-script.md").read_text(), re.DOTALL)
    assert len(examples) == 3
    exec(compile(examples[number], "policy-in-a-script.md", "exec"), {})
    assert number == 2 or capsys.readouterr().out in ("success\n", "failure\n")
