"""Which rows are the same record: keys, partitions, clusters."""
