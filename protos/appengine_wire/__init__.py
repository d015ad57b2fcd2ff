"""What both ends of a transfer do to its bytes, beside the messages themselves."""
