"""What each command of bench does."""
