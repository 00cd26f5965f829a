"""What `beam-patterns new` writes: my_flow.py and test_my_flow.py, under the user's name."""
