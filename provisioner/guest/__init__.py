"""Hearing the guest: what it says on the serial port and through the agent."""
