"""CEL, Google's Common Expression Language: the one home of conditions and keys given as text."""
