"""Documents into what a person reads: pure functions, no database, no clock of their own."""
