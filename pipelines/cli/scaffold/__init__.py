"""What `beam-patterns new` writes: my_flow.py and test_my_flow.py as they are here, under the user's name."""
