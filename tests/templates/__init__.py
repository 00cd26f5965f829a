"""Tests of what launches pipelines elsewhere: Flex Templates and Kubernetes."""
