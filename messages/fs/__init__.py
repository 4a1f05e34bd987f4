"""What names, inodes, leases, pipes and open file descriptions are asked."""
