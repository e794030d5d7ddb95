"""What keeps reads fast as the months go by."""
