"""The work of image_tagging on one image of traffic: plain functions, without Beam."""
