"""What image_tagging does with one picture of traffic: plain functions, without Beam."""
