"""Real time: the wall clock under the scheduler, a TAP device, and the stack as a program of its own."""
