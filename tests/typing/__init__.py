"""The types of the public package, as users' type checkers see them."""
