"""The pure core: values in, values out. No database, no clock, no I/O."""
