"""What the benchmark generator is made of: words, clean records, damage with its truth, and files."""
