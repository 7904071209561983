"""The migrations, one a file, in order. A released one is never changed: what comes later is a new one."""
