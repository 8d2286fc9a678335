import json

from handful.tasks.registry import TASKS, make_task


def test_lists_every_task_with_its_stages(handful, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    status, output, _ = handful("tasks")
    assert status == 0
    for name in TASKS:
        line = next(line for line in output.splitlines() if f" {name} " in line)
        stages = make_task(name).stages[1:]
        shown = ", ".join(stages) if name != "order-fulfillment" else "reach, hold, over, one, ..., fulfilled"
        assert shown in line and stages[-1] in shown


def test_says_what_a_task_scores_and_in_which_variants_it_can_be_learned(handful):
    status, output, _ = handful("tasks", "pouring")
    assert status == 0
    assert "share of balls in the box" in output and "Variants to train in: eight-balls, coarse." in output
    assert "Variants" not in handful("tasks", "block-lifting")[1]


def test_says_what_one_task_is(handful):
    status, output, _ = handful("tasks", "clearing-box")
    assert status == 0
    assert "handful/ClearingBox-v0" in output and "500 control steps (25 s)" in output
    assert "Success is to hold the box up" in " ".join(output.split())


def test_json_holds_what_the_task_declares(handful):
    status, output, _ = handful("tasks", "--json")
    assert status == 0
    described = {task["name"]: task for task in json.loads(output)}
    assert list(described) == list(TASKS)
    assert described["block-lifting"]["stages"] == {"start": 0.0, "reach": 0.125, "lift": 1.0}
    assert described["block-lifting"]["seconds"] == 5.0


def test_an_unknown_task_names_the_nearest(handful):
    status, _, error = handful("tasks", "block-lift")
    assert status == 2 and "did you mean 'block-lifting'?" in error
