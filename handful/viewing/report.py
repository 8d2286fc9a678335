"""A run, or several of one task, as one HTML file that can be mailed: results, curves, a film, and the configuration."""

from __future__ import annotations

import base64
import dataclasses
import html
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from handful.environment import EVALUATION_SEED
from handful.errors import ConfigurationError, DataError
from handful.learning.evaluation import EvaluationResult, evaluate_policy
from handful.runs.folder import CONFIG_FILE, METRICS_FILE
from handful.runs.phases import has_phases, read_phases
from handful.runs.policies import load_actor, read_policy
from handful.storage import read_json
from handful.tasks.environment import TaskEnvironment
from handful.tasks.registry import make_task
from handful.viewing.curves import curves_by_method, read_curve, read_whole_curve
from handful.viewing.filming import film_policy
from handful.viewing.plots import draw_comparison, draw_run
from handful.viewing.run_list import RunSummary, differences, summarize

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; font-size: 0.9rem; }
td, th { border-bottom: 1px solid #ddd; padding: 0.3rem 0.9rem 0.3rem 0; text-align: left; vertical-align: top; }
img, video { max-width: 100%; } pre { background: #f6f6f6; padding: 1rem; overflow-x: auto; font-size: 0.8rem; }
"""


@dataclasses.dataclass(frozen=True)
class _Evaluated:
    result: EvaluationResult
    film: bytes | None


def build_report(
    runs: Sequence[Path],
    *,
    num_episodes: int = 24,
    randomization: str = "task",
    film: bool = True,
    on_run: Callable[[str], None] = lambda words: None,
) -> str:
    """The report as HTML that needs no other file.

    Args:
        runs: Folders of runs of one task.
        num_episodes: Episodes of the evaluation of each run's policy; 0 leaves evaluation and film out.
        randomization: How much varies from episode to episode.
        film: Whether the first episodes are filmed.
        on_run: Called with what is being done.

    Raises:
        ConfigurationError: the runs are of several tasks.
        DataError: a folder holds no run.
    """
    summaries = [summarize(run) for run in runs]
    tasks = sorted({each.task for each in summaries})
    if len(tasks) != 1:
        raise ConfigurationError(f"expected runs of one task, got runs of {', '.join(tasks)}: report each by itself.")
    evaluated: list[_Evaluated | None] = []
    for each in summaries:
        on_run(f"evaluating {each.folder}" if num_episodes else f"reading {each.folder}")
        evaluated.append(_evaluate(each, num_episodes, randomization, film) if num_episodes else None)
    names = ", ".join(str(run) for run in runs)
    title = f"{tasks[0]}: {runs[0] if len(runs) == 1 else f'{len(runs)} runs'}"
    parts = [f"<h1>{html.escape(title)}</h1>", f"<p>{html.escape(names)}</p>"]
    parts.append(_results(summaries, evaluated, randomization))
    if len(runs) > 1:
        parts += [
            "<h2>Comparison</h2>",
            _comparison(runs),
            _table(["option", *map(str, runs)], _rows(differences(runs))),
        ]
    for run, each in zip(runs, evaluated, strict=True):
        parts.append(f"<h2>{html.escape(str(run))}</h2>")
        if each is not None and each.film is not None:
            source = _data("video/mp4", each.film)
            parts.append(f'<video controls loop muted playsinline src="{source}"></video>')
            parts.append("<p>Each cell is one episode; in its corner is what the policy sees.</p>")
        parts += [_curves(run), _configuration(run)]
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def _evaluate(run: RunSummary, num_episodes: int, randomization: str, film: bool) -> _Evaluated | None:
    """Evaluate the policy of a run; None if it has none yet."""
    try:
        policy = read_policy(run.task, str(run.folder))
    except ConfigurationError:
        return None
    environment = TaskEnvironment(
        make_task(run.task, arm=policy.arm()),
        num_envs=min(64, num_episodes),
        randomization=randomization,
        camera_hz=policy.camera_hz,
        pixels=film or policy.sees_pixels,
        tool_state=policy.sees_tool_state,
    )
    try:
        actor = load_actor(policy, environment, seed=EVALUATION_SEED)
        if not film:
            return _Evaluated(
                evaluate_policy(actor, environment, num_episodes=num_episodes, seed=EVALUATION_SEED), None
            )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "film.mp4"
            result = film_policy(actor, environment, path, num_episodes=num_episodes, seed=EVALUATION_SEED)
            return _Evaluated(result, path.read_bytes())
    finally:
        environment.close()


def _results(runs: Sequence[RunSummary], evaluated: Sequence[_Evaluated | None], randomization: str) -> str:
    """The table of results: a row for each run."""
    rows = []
    for run, each in zip(runs, evaluated, strict=True):
        success, task_return = "not measured", "not measured"
        if each is not None:
            low, high = each.result.success_interval
            success = f"{each.result.success_rate:.1%} ({low:.1%} to {high:.1%}) of {each.result.num_episodes}"
            task_return = f"{each.result.mean_return:.1f}"
        training = "none yet" if run.success is None else f"{run.success:.1%}"
        place = f"{run.recipe}, {run.phase}" if run.phase else run.recipe
        rows.append([str(run.folder), place, f"{run.steps:,}", f"{run.minutes:.1f}", success, task_return, training])
    columns = ["run", "recipe", "control steps", "training time [min]", f"success, {randomization} (95% interval)"]
    return _table([*columns, "return", "success while training"], rows)


def _comparison(runs: Sequence[Path]) -> str:
    curves = []
    for run in runs:
        try:
            curves.append(read_whole_curve(run))
        except DataError:
            continue
    try:
        return _picture(lambda path: draw_comparison(curves_by_method(curves), path))
    except DataError as error:
        return f"<p>{html.escape(str(error))}</p>"


def _curves(run: Path) -> str:
    """The curves of a run, of each phase by itself."""
    folders = [run / phase.name for phase in read_phases(run).phases] if has_phases(run) else [run]
    parts = []
    for folder in folders:
        if not (folder / METRICS_FILE).is_file():
            continue
        if folder != run:
            parts.append(f"<h3>{html.escape(folder.name)}</h3>")
        try:
            curve = read_curve(folder)
            parts.append(_picture(lambda path, curve=curve: draw_run(curve, path)))
        except DataError as error:
            parts.append(f"<p>{html.escape(str(error))}</p>")
    return "".join(parts)


def _configuration(run: Path) -> str:
    text = json.dumps(read_json(run / CONFIG_FILE), indent=2)
    return f"<details><summary>{CONFIG_FILE}</summary><pre>{html.escape(text)}</pre></details>"


def _rows(values: dict[str, list[str]]) -> list[list[str]]:
    return [[name, *row] for name, row in values.items()]


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _picture(draw: Callable[[Path], object]) -> str:
    """What ``draw`` draws into a file, as an image of the page."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        draw(path)
        return f'<img alt="learning curves" src="{_data("image/png", path.read_bytes())}">'


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
