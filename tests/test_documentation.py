"""The documentation: its examples run, and every page is reached. `make docs` checks the links."""

from __future__ import annotations

import importlib
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *DOCS.glob("*.md"))


def test_every_page_is_in_the_table_of_contents():
    listed = set(re.findall(r"[\w/.-]+\.md", (ROOT / "mkdocs.yml").read_text()))
    pages = {str(path.relative_to(DOCS)) for path in (*DOCS.glob("*.md"), *DOCS.glob("decisions/*.md"))}
    assert listed == pages


def test_the_tables_are_those_of_the_figures(monkeypatch):
    """If this fails: make figures PARTS=tables."""
    monkeypatch.syspath_prepend(str(DOCS))
    tables = importlib.import_module("figure_tables")
    for page in PAGES:
        text = page.read_text()
        assert tables.with_tables(text, links_from=page.parent) == text, page
    assert set(tables.TABLES) == set(re.findall("<!-- begin (.*?) -->", "".join(map(pathlib.Path.read_text, PAGES))))


def test_the_readme_is_in_plain_words_and_its_links_lead_somewhere():
    text = (ROOT / "README.md").read_text()
    links = re.findall(r"\]\(([^)#]+)", text)
    assert all((ROOT / link).exists() for link in links if not link.startswith("https://"))
    assert text.count("![") == 1  # one picture
    prose = re.sub(r"```.*?```|<!-- begin.*?<!-- end|!?\[.*?\]\(.*?\)|`[^`]*`", "", text, flags=re.DOTALL)
    sentences = re.split(r"(?<=[.:;])\s", " ".join(line for line in prose.splitlines() if not line.startswith("    ")))
    assert max(len(sentence.split()) for sentence in sentences) <= 30


@pytest.mark.long
@pytest.mark.parametrize("number", [1, 2])
def test_the_examples_of_a_policy_in_a_script_run_as_they_stand(number, capsys):
    examples = re.findall(r"```python\n(.*?)```", (DOCS / "policy-in-a-script.md").read_text(), re.DOTALL)
    assert len(examples) == 3
    exec(compile(examples[number], "policy-in-a-script.md", "exec"), {})
    assert number == 2 or capsys.readouterr().out in ("success\n", "failure\n")
