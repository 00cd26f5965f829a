"""The common parts of Reduce, Sum and Histogram."""
