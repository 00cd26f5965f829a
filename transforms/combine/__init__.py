"""What Reduce, Sum and Histogram share."""
