"""The report: a page with figures, the rows as JSON, captures and waveforms, in one directory."""
