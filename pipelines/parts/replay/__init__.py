"""The parts of replay_dead_letters: which letters are sent back, to which queue, and the summary."""
