"""What memory is asked."""
