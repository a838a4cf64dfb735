"""The receive path: checks, filters, buffers and stores what the MAC receives (manual chapter 3.2)."""
