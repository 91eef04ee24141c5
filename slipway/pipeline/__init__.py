"""The pipeline: from data to all of production traffic, one proved step after the other."""
