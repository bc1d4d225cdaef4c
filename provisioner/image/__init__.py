"""Trees become bytes: discs, overlays, folders. Starts no process, reads no clock."""
