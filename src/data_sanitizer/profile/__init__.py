"""One mergeable statistic a file: profile(a + b) == merge(profile(a), profile(b))."""
