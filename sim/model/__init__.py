"""The fast model of the NIC: the same registers, descriptors and edges as the RTL, with time advanced by events.

Behaviour comes from the golden functions beside the gateware (``hw``); times come from ``calibration.json``, which
``make calibrate`` measures on the RTL (``sim/model/timing.py``).
"""
