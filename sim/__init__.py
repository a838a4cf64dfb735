"""Everything that makes simulated time pass, and watches it."""

from sim.compiled import use

use()
