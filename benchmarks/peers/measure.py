"""Measures handful's block stacking beside robosuite's and dm_control's, on the same machine in the same run.

    python benchmarks/peers/measure.py

Each peer gets a virtual environment of its own under ``--folder``, so that nothing of theirs touches this one. They draw
with OpenGL: without a GPU, through Mesa's EGL or OSMesa, which must be installed (on Debian: libegl1 libgl1-mesa-dri, or
libosmesa6). A peer that cannot be installed or cannot draw is told with its reason and left out.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
OURS = "handful block-stacking, 64 simulations"
PEERS = {
    "robosuite": ("robosuite_stack.py", ["robosuite==1.5.*", "mujoco==3.3.*"]),
    "dm_control": ("dm_control_stack.py", ["dm-control==1.0.50", "mujoco==3.17.*"]),
}


def main() -> None:
    """Install, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("build/peers"), help="where the peers' environments go")
    parser.add_argument("--seconds", type=float, default=10.0, help="time for each measurement [s]")
    parser.add_argument("--gl", default="osmesa", choices=("egl", "osmesa", "glx"), help="how the peers reach OpenGL")
    parser.add_argument("--output", type=Path, help="also write the figures to this file, as JSON")
    options = parser.parse_args()

    ours = _handful(options.seconds)
    rows = [{"name": "handful", "measures": OURS, **ours}]
    print(f"{'':44} camera at 20 Hz [steps/s]        physics alone [steps/s]")
    _row(OURS, ours, ours)
    for name, (script, packages) in PEERS.items():
        try:
            python = _environment(options.folder / name, packages)
            figures = _peer(python, script, options)
            _row(**figures, ours=ours)
            short = " ".join(figures["name"].split()[:2])
            rows.append({**figures, "name": short, "measures": figures["name"]})
        except subprocess.CalledProcessError as error:
            reason = (error.stderr or error.stdout or str(error)).strip().splitlines()[-1]
            print(f"{name:44} left out: {reason}")
    if options.output is not None:
        options.output.write_text(json.dumps(rows, indent=2) + "\n")


def _row(
    name: str, figures: dict[str, float] | None = None, ours: dict[str, float] | None = None, **own: float
) -> None:
    figures, ours = figures or own, ours or {}
    cells = [f"{figures[key]:10.1f} {ours[key] / figures[key]:9.0f} times" for key in ("camera", "physics")]
    print(f"{name:44} {'        '.join(cells)}", flush=True)


def _handful(seconds: float) -> dict[str, float]:
    program = "from handful.cli.main import main; main()"
    words = ["bench", "block-stacking", "--json", "--seconds", str(seconds)]
    output = subprocess.run([sys.executable, "-c", program, *words], check=True, capture_output=True, text=True).stdout
    figures = {figure["name"]: figure["value"] for figure in json.loads(output)}
    return {"camera": figures["physics_and_camera/rasterizer/20hz"], "physics": figures["physics"]}


def _environment(folder: Path, packages: list[str]) -> Path:
    """Python of a virtual environment that holds the packages."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return python


def _peer(python: Path, script: str, options: argparse.Namespace) -> dict:
    environment = {**os.environ, "MUJOCO_GL": options.gl, "PYOPENGL_PLATFORM": options.gl}
    command = [str(python), str(HERE / script), str(options.seconds)]
    result = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(result.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
