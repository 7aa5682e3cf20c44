"""Users, groups, domains, keys, and what they may do."""
