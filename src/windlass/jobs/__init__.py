"""Jobs: long work that is requested, watched and cancelled here; workers run it (`windlass.workflows`)."""
