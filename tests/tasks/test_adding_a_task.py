"""The guide's seventh task is added as the guide says, and passes what every task must pass."""

import importlib.util
import inspect
import re
import sys
from pathlib import Path

import gymnasium
import pytest

import handful.tasks
from handful.cli.main import run_command_line
from handful.demonstrations.operators import scripted
from handful.demonstrations.operators.scripted.script import OPERATORS
from handful.tasks.gym_registration import gymnasium_id, register_with_gymnasium
from handful.tasks.registry import TASKS

GUIDE = Path(__file__).parents[2] / "docs" / "adding-a-task.md"
TASK = "block-pushing"


def _conformance():
    path = Path(__file__).with_name("test_environment.py")
    spec = importlib.util.spec_from_file_location("conformance_of_the_guide", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]
    return [test for test in tests if list(inspect.signature(test).parameters) == ["task"]]


@pytest.fixture(scope="module", autouse=True)
def added_task(tmp_path_factory):
    """Write the guide's two files beside the package's modules, under a folder of their own, and register them."""
    text = GUIDE.read_text()
    files = dict(re.findall(r"`handful/(\S+\.py)`:\n\n```python\n(.*?)```", text, re.DOTALL))
    lines = re.findall(r"`handful/(\S+\.py)`, in `(\w+)`:\n\n```python\n(.*?)```", text, re.DOTALL)
    assert list(files) == ["tasks/pushing.py", "demonstrations/operators/scripted/pushing.py"]
    assert [(name, table) for name, table, _ in lines] == [
        ("tasks/registry.py", "TASKS"),
        ("demonstrations/operators/scripted/script.py", "OPERATORS"),
    ]
    folder = tmp_path_factory.mktemp("seventh")
    with pytest.MonkeyPatch.context() as patch:
        for package, (name, code) in zip((handful.tasks, scripted), files.items(), strict=True):
            (folder / name).parent.mkdir(parents=True)
            (folder / name).write_text(code)
            patch.setattr(package, "__path__", [*package.__path__, str((folder / name).parent)])
        for table, (_, _, line) in zip((TASKS, OPERATORS), lines, strict=True):
            key, value = re.fullmatch(r'\s*"(.*?)": "(.*?)",\s*', line).groups()
            assert key == TASK
            patch.setitem(table, key, value)
        register_with_gymnasium()
        yield
        gymnasium.registry.pop(gymnasium_id(TASK))
        for module in ("handful.tasks.pushing", "handful.demonstrations.operators.scripted.pushing"):
            sys.modules.pop(module, None)


@pytest.mark.slow
@pytest.mark.parametrize("test", _conformance(), ids=lambda test: test.__name__)
def test_passes_what_every_task_must_pass(test):
    test(TASK)


def test_is_a_gymnasium_environment():
    environment = gymnasium.make("handful/BlockPushing-v0", observation="state")
    assert environment.reset(seed=0)[0].shape == environment.observation_space.shape


@pytest.mark.slow
def test_is_demonstrated_learned_and_evaluated_from_the_command_line(tmp_path, capsys):
    demonstrations, run = str(tmp_path / "pushing.hdf5"), str(tmp_path / "run")
    tiny = (
        "--num-envs",
        "4",
        "--rollout-steps",
        "10",
        "--ppo.num-minibatches",
        "2",
        "--discriminator.batch-size",
        "32",
        "--cloning.epochs",
        "2",
    )
    assert run_command_line(["demonstrate", TASK, "--num-episodes", "3", "--output", demonstrations]) == 0
    words = ["train", TASK, "--demonstrations", demonstrations, "--run", run, "--num-steps", "400", *tiny]
    assert run_command_line(words) == 0
    assert run_command_line(["evaluate", TASK, "--policy", run, "--num-episodes", "4"]) == 0
    assert "reached 'pushed'" in capsys.readouterr().out
    assert run_command_line(["tasks", TASK]) == 0
    assert "Push the block away from the robot." in capsys.readouterr().out
