"""Beyond one process: shards that need not speak to each other, and a pool of processes on Ray."""
