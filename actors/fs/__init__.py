"""What a file system is made of: names, inodes with their leases and blocks, and open file descriptions."""
