"""Plan and world become a result. The only room that makes things happen."""
