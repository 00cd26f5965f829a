"""What the video pipelines do with one video: plain functions, without Beam."""
