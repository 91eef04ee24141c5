"""Rollouts: from weight 0 to all of the traffic by evidence, and back at any time."""
