"""How far the model is from the RTL: scenarios that both play, and what differs."""
