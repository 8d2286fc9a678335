"""Commands of ``handful calibrate``, a module each."""

SUBCOMMANDS = {
    "camera": "fit the camera's pose to points whose places are known, and draw the simulated picture on the real one",
}
"""Each command with its line in ``handful calibrate --help``."""
