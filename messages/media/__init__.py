"""Messages of video devices."""
