"""What differs from one Linux to the next and from one file system to the next: data, chosen by the machine."""
