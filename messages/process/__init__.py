"""What processes, their table and the board of labels are told."""
