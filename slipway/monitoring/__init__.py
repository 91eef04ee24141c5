"""What is measured and promised: the catalogue of metrics, service level objectives, the journal of decisions."""
