"""TCP (RFC 9293): wire format, state machine, sending, receiving, timers and congestion control."""
