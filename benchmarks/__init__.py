"""Side by side with other tools, in one run, as ratios. These are no tests: machines are noisy."""
