"""``handful dataset``: what can be done with files of demonstrations; each word is a module with options of its own."""

SUBCOMMANDS = {
    "info": "say what a file of demonstrations holds",
    "validate": "check everything in files of demonstrations",
    "replay": "run recorded episodes again, to the bit",
    "view": "step through recorded episodes in the browser",
    "merge": "put several files together",
    "split": "divide a file into episodes to learn from and to test on",
    "convert": "write a LeRobotDataset v3, or read robomimic's HDF5",
}
"""Each word after ``handful dataset`` with its line in the help."""
