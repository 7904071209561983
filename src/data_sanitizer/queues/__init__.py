"""What wakes workers; where the jobs are is the database alone."""
