"""Checks of Python, packages, processors, caches, disk and video."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import pathlib
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator

import numpy as np
from packaging.requirements import Requirement

from handful.doctor.finding import Finding

LEAST_DISK_GB = 2.0
"""A run with checkpoints takes a few hundred megabytes."""

OPTIONAL = {"pyspacemouse": "devices", "pygame-ce": "devices", "pyarrow": "lerobot"}
"""Packages that only some commands need, with the extra that installs them."""


def check_machine(folder: pathlib.Path) -> Iterator[Finding]:
    """Everything but devices; ``folder`` is where the user works."""
    yield _python()
    yield from _packages()
    yield _processors()
    yield _gpu()
    yield _warp()
    yield _cache("the rasteriser's cache (Numba)", _numba_cache())
    yield _cache("the GPU physics' cache (Warp)", _warp_cache())
    yield _disk(folder)
    yield _video()


def _python() -> Finding:
    version = platform.python_version()
    if sys.version_info < (3, 11):  # noqa: UP036 (to say it to who uses an older one)
        words = f"{version}; handful needs 3.11 or newer."
        return Finding("Python", "problem", words, ("make setup PYTHON=python3.11",))
    return Finding("Python", "ok", f"{version}, {sys.executable}")


def _packages() -> Iterator[Finding]:
    """Every required package, by what handful itself declares."""
    try:
        declared = [Requirement(each) for each in importlib.metadata.requires("handful") or []]
    except importlib.metadata.PackageNotFoundError:
        words = "it is not installed, only its folder is there: its requirements are not known."
        yield Finding("handful", "note", words, ("pip install --editable .",))
        return
    required = [each for each in declared if each.marker is None or each.marker.evaluate({"extra": ""})]
    wrong = [(each, found) for each in required if not _fits(each, found := _version(each.name))]
    for each, found in wrong:
        what = f"{each.name} {found}" if found else f"{each.name} is missing"
        words = f"{what}; handful needs {each.name}{each.specifier}."
        yield Finding("packages", "problem", words, (f"pip install '{each.name}{each.specifier}'",))
    if not wrong:
        shown = ", ".join(f"{name} {_version(name)}" for name in ("mujoco", "torch", "numpy", "warp-lang"))
        yield Finding("packages", "ok", f"all {len(required)} that are needed, {shown}")
    missing = sorted({extra for name, extra in OPTIONAL.items() if _version(name) is None})
    for extra in missing:
        names = ", ".join(name for name, of in OPTIONAL.items() if of == extra and _version(name) is None)
        yield Finding("packages", "note", f"optional and missing: {names}.", (f"pip install 'handful[{extra}]'",))


def _version(name: str) -> str | None:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    return None


def _fits(requirement: Requirement, version: str | None) -> bool:
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def _processors() -> Finding:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    words = f"{usable} cores, {platform.machine()}"
    with contextlib.suppress(OSError, AttributeError, ValueError):
        load = os.getloadavg()[0]
        words += f", load {load:.1f}"
        if load > 1.5 * usable:
            return Finding("processors", "note", f"{words}: other programs need them, so everything takes longer.")
    return Finding("processors", "ok", words)


def _gpu() -> Finding:
    try:
        import torch

        if torch.cuda.is_available():
            return Finding("GPU", "ok", f"{torch.cuda.get_device_name(0)}, for --backend cuda")
        build = "a build with CUDA" if torch.version.cuda else "a build for the CPU"
        return Finding("GPU", "note", f"none is found (torch is {build}); nothing needs one.")
    except Exception as error:  # a broken driver can raise anything
        return Finding("GPU", "problem", f"torch cannot be used: {error}.", ("pip install --force-reinstall torch",))


def _warp() -> Finding:
    try:
        from handful.simulation.physics.warp_runtime import initialize_warp

        initialize_warp()
        import warp

        return Finding("Warp", "ok", f"{warp.__version__}, devices: {', '.join(map(str, warp.get_devices()))}")
    except Exception as error:  # as above
        return Finding("Warp", "problem", f"it does not start: {error}.", ("pip install --force-reinstall warp-lang",))


def _numba_cache() -> pathlib.Path:
    import handful.simulation.rendering.kernel as kernel

    named = os.environ.get("NUMBA_CACHE_DIR")
    return pathlib.Path(named) if named else pathlib.Path(kernel.__file__).parent / "__pycache__"


def _warp_cache() -> pathlib.Path:
    with contextlib.suppress(Exception):
        import warp

        if warp.config.kernel_cache_dir:
            return pathlib.Path(warp.config.kernel_cache_dir)
    return pathlib.Path(os.environ.get("WARP_CACHE_PATH", pathlib.Path.home() / ".cache" / "warp"))


def _cache(subject: str, folder: pathlib.Path) -> Finding:
    existing = next((each for each in (folder, *folder.parents) if each.is_dir()), pathlib.Path("/"))
    if not os.access(existing, os.W_OK):
        words = f"{folder} cannot be written, so every start compiles anew."
        return Finding(subject, "note", words, (f"sudo chown -R $USER {existing}",))
    count = sum(1 for _ in folder.glob("*")) if folder.is_dir() else 0
    return Finding(
        subject, "ok", f"{folder}, {count} entries" if count else f"{folder}, empty: the first start compiles"
    )


def _disk(folder: pathlib.Path) -> Finding:
    try:
        free = shutil.disk_usage(folder).free / 1e9
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Finding("disk", "problem", f"{folder.absolute()} cannot be written: {error.strerror}.", ("cd ~",))
    words = f"{free:.1f} GB are free in {folder.absolute()}"
    if free < LEAST_DISK_GB:
        return Finding(
            "disk", "problem" if free < 0.1 else "note", f"{words}; a run takes up to {LEAST_DISK_GB:g} GB.", ("df -h",)
        )
    return Finding("disk", "ok", words)


def _video() -> Finding:
    """Write a video of two frames."""
    try:
        from handful.viewing.video import Cell, EpisodeGridVideo

        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "try.mp4"
            picture = np.zeros((64, 64, 3), np.uint8)
            with EpisodeGridVideo(path, num_rows=1, num_columns=1, frame_rate=20) as video:
                for _ in range(2):
                    video.add_frame([Cell(view=picture, pixels=picture[::4, ::4], episode=0, stage="try")])
            return Finding("video", "ok", f"H.264 is written ({path.stat().st_size} bytes for two frames)")
    except Exception as error:  # an encoder that is missing raises what it likes
        return Finding("video", "problem", f"no video can be written: {error}.", ("pip install --force-reinstall av",))
