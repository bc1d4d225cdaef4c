"""Use cases on discs and images: create, extract, compare, verify, remaster, mount, rip, burn."""
