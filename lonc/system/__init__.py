"""What the operating system does for lonc, one concern per file."""
