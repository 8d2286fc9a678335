"""The table-top tasks, each one file, and what turns a task into an environment."""
