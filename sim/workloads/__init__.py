"""Workloads: what crosses the wire in a run, each with its arrival process, its seed and stated units."""
