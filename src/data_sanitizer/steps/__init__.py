"""One cleaning step a file: `plan` from the profile, `clean` as an expression."""
