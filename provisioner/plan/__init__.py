"""Decisions: profile, media and host become a plan. Nothing here touches the world."""
