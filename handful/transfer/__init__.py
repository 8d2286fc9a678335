"""From simulation to a robot: a policy exported, a loop that runs it, safety limits, and robots behind one protocol."""
