"""The parts of replay_dead_letters: what is chosen, where it goes, what is said about it."""
