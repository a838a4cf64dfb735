"""Everything that makes simulated time pass, and watches it."""
