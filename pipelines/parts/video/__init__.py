"""The work of the video pipelines on one video: plain functions, without Beam."""
