"""The e1000 driver: probe, rings, NAPI poll, interrupt throttling, offload descriptors."""
