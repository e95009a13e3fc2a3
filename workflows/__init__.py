"""From a fleet file and a job to a plan: which steps, in which order, under which leases."""
